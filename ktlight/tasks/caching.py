"""Outputs of frozen models: from the store where they are or can be stored, else computed live."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from omegaconf import DictConfig
from torch import Tensor
from tqdm.auto import tqdm

from ktlight.cache.key import Key
from ktlight.cache.source import StoredSource
from ktlight.cache.store import Damaged, LogitStore, Shape
from ktlight.data.datamodule import ImageDataModule, OrderedView
from ktlight.errors import UserError
from ktlight.models.classifier import Classifier
from ktlight.models.sources import LiveSource
from ktlight.models.zoo import cache_directory
from ktlight.tasks.training import build_trainer, shows_progress
from ktlight.types import Batch, LogitSource

logger = logging.getLogger(__name__)

MODES = ("auto", "off", "readonly")


class Unrepeatable(UserError):  # noqa: N818  (says what the outputs are)
    """Outputs that are not a function of the sample, so that storing them would change the run."""


@dataclass(frozen=True)
class Device:
    """Where and how frozen models run: as the trainer runs the student.

    Attributes:
        root: The device.
        context: The trainer's precision context.
        name: Stands for both in keys.
    """

    root: torch.device
    context: Callable[[], object]
    name: str


class OutputCache:
    """The store, by the config groups ``cache`` and ``trainer``.

    Args:
        config: The composed config.
    """

    def __init__(self, config: DictConfig) -> None:
        self.mode: str = config.cache.mode
        if self.mode not in MODES:
            raise UserError(f"unknown cache.mode '{self.mode}': choose one of {', '.join(MODES)}")
        self.store = LogitStore(cache_directory() / "logits", config.cache.max_gb)
        self.progress = shows_progress(config.trainer)
        trainer = build_trainer(config.trainer)
        device = trainer.strategy.root_device
        self.device = Device(device, trainer.precision_plugin.forward_context, f"{device.type} {trainer.precision}")

    def sources(self, live: Sequence[LiveSource], data: ImageDataModule, epochs: int) -> list[LogitSource]:
        """Return sources that answer from the store for all views that ``epochs`` epochs of training show."""
        views = [data.ordered_training_view(view) for view in data.training_views(epochs)]
        return [self._source(source, views) for source in live]

    def _source(self, live: LiveSource, views: Sequence[OrderedView]) -> LogitSource:
        stored = self.outputs(live.classifier, views)
        if stored is None:
            return live
        by_number = {view.view: logits for view, logits in zip(views, stored, strict=True)}
        return StoredSource(live.name, by_number, torch.from_numpy(views[0].rows))

    def outputs(self, classifier: Classifier, views: Sequence[OrderedView]) -> list[Tensor] | None:
        """Return the stored logits ``[rows, C]`` of each view, computing what is missing.

        Returns:
            None where the outputs are to be computed live: ``cache=off``, or ``auto`` and they cannot be stored, which
            is said.

        Raises:
            UserError: ``cache=readonly`` and an entry is missing or damaged, or the disk is too small.
        """
        if self.mode == "off":
            return None
        weights = classifier.weights_hash()
        keys = [self.key(classifier, weights, view) for view in views]
        try:
            found = [self._open(key) for key in keys]
            if any(logits is None for logits in found):
                self._check_writable(classifier, views)
                missing = sum(len(view.rows) for view, logits in zip(views, found, strict=True) if logits is None)
                self.store.make_room(missing * classifier.num_classes * torch.float32.itemsize)
        except Unrepeatable as error:
            if self.mode == "readonly":
                raise
            logger.info("%s: computed live", error)
            return None
        return [
            self._fill(classifier, key, view) if logits is None else logits
            for key, view, logits in zip(keys, views, found, strict=True)
        ]

    def key(self, classifier: Classifier, weights: str, view: OrderedView) -> Key:
        """Return what the outputs of a classifier for a view are known by."""
        return Key(
            model=classifier.name,
            weights=weights,
            preprocess=f"{classifier.architecture} {classifier.preprocess!r}",
            data=view.fingerprint,
            transform=view.transform,
            view=view.view,
            precision=self.device.name,
        )

    def _open(self, key: Key) -> Tensor | None:
        try:
            return self.store.open(key)
        except Damaged as error:
            if self.mode == "readonly":
                raise UserError(f"{error}; with cache=auto it is computed anew") from error
            logger.warning("%s: it is computed anew", error)
            with self.store.lock(key):
                self.store.discard(key)
            return None

    def _check_writable(self, classifier: Classifier, views: Sequence[OrderedView]) -> None:
        if classifier.training:
            raise Unrepeatable(f"the outputs of {classifier.name} are not stored, since it is in training mode")
        if not views[0].repeatable:
            raise Unrepeatable(
                f"the outputs of {classifier.name} are not stored, since the data's own transforms may be random"
            )
        if self.mode == "readonly":
            raise UserError(
                f"cache=readonly, but the outputs of {classifier.name} for this data are not in {self.store.root}: "
                "fill the store with task=cache and the same data options, or use cache=auto"
            )
        batch = next(iter(views[0].batches()))
        if not torch.allclose(self._answer(classifier, batch), self._answer(classifier, batch), atol=1e-2):
            raise Unrepeatable(
                f"the outputs of {classifier.name} are not stored, since it answers the same images differently each "
                "time (dropout that stays on in evaluation mode?)"
            )

    def _fill(self, classifier: Classifier, key: Key, view: OrderedView) -> Tensor:
        with self.store.lock(key):
            logits = self.store.open(key)  # another process may have written it while this one waited
            if logits is None:
                first = self._answer(classifier, next(iter(view.batches())))
                shape = Shape(len(view.rows), first.shape[1], str(first.dtype).removeprefix("torch."))
                start = self.store.progress(key, shape)
                self.store.write(key, shape, self._blocks(classifier, view, start), start)
                logits = self.store.open(key)
        assert logits is not None
        return logits

    def _blocks(self, classifier: Classifier, view: OrderedView, start: int) -> Iterator[Tensor]:
        if start == len(view.rows):
            return
        name = "test images" if view.view < 0 else f"view {view.view}"
        bar = tqdm(
            total=len(view.rows), initial=start, desc=f"Storing outputs of {classifier.name}, {name}", unit="images",
            disable=not self.progress, leave=False,
        )  # fmt: skip
        with bar:
            for batch in view.batches(start):
                yield self._answer(classifier, batch)
                bar.update(len(batch["label"]))

    def _answer(self, classifier: Classifier, batch: Batch) -> Tensor:
        source = LiveSource("", classifier)
        source.to(self.device.root)
        moved: Batch = {**batch, "image": batch["image"].to(self.device.root)}
        with self.device.context():  # type: ignore[attr-defined]
            return source.logits(moved)
