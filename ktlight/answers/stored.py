"""Outputs of frozen models: from the store where they are or can be stored, else computed live."""

import copy
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Self

import torch
from omegaconf import DictConfig
from torch import Tensor
from tqdm.auto import tqdm

from ktlight.answers.device import Device
from ktlight.answers.keys import keys_of
from ktlight.answers.repeatable import Outputs, Unrepeatable, check_repeatable, probe
from ktlight.data.datamodule import ImageDataModule
from ktlight.data.ordered import OrderedView
from ktlight.errors import NotWritten, UserError
from ktlight.models.classifier import Classifier
from ktlight.models.sources import LiveSource
from ktlight.models.zoo import cache_directory
from ktlight.store.entry import Damaged, Shape
from ktlight.store.form import Features, Full, make_form
from ktlight.store.key import Key
from ktlight.store.source import StoredSource
from ktlight.store.store import LogitStore, NoRoom
from ktlight.training.preemption import leave_between_batches
from ktlight.training.trainer import build_trainer, shows_progress
from ktlight.types import Batch, LogitSource

logger = logging.getLogger(__name__)


class OutputStore:
    """The store, configured by the groups ``store`` and ``trainer``.

    Args:
        config: The composed config.
        mode: In place of ``store.mode``.
    """

    def __init__(self, config: DictConfig, mode: str | None = None) -> None:
        self.head_only: bool = config.transfer.part == "head"
        self.mode: str = mode or config.store.mode
        if self.head_only and self.mode == "auto":
            self.mode = "fill"  # features have no live form
        self.store = LogitStore(cache_directory() / "store", config.store.max_gb)
        self.top_k: int | None = config.store.top_k
        self.progress = shows_progress(config.trainer)
        self.trainer_config: DictConfig = config.trainer
        trainer = build_trainer(config.trainer)
        self.processes = trainer.world_size
        self.device = Device.of(trainer)
        self.said: set[str] = set()

    def live(self) -> Self:
        """Return the same without a store: all is computed now."""
        live = copy.copy(self)
        live.mode = "off"
        return live

    def sources(
        self, live: Sequence[LiveSource], data: ImageDataModule, epochs: int, features: bool = False
    ) -> list[LogitSource]:
        """Return sources that read from the store, for all views of ``epochs`` epochs of training.

        Args:
            live: The same sources, computed live.
            data: The images.
            epochs: Number of training epochs.
            features: Whether they also return features.
        """
        return [self._source(source, data, epochs, features) for source in live]

    def _source(self, live: LiveSource, data: ImageDataModule, epochs: int, features: bool) -> LogitSource:
        wanted = self.training_outputs(live.classifier, data, epochs)
        stored = self._stored_views(wanted)
        stored_features = self._stored_views(replace(wanted, form=Features())) if features and stored else None
        if stored is None or (features and stored_features is None):
            return live
        rows = torch.from_numpy(wanted.views[0].rows)
        return StoredSource(live.name, stored, rows, wanted.form, stored_features, live.label_map)

    def _stored_views(self, wanted: Outputs) -> dict[int, Tensor] | None:
        stored = self._stored(wanted)
        if stored is None:
            return None
        return {view.view: numbers for view, numbers in zip(wanted.views, stored, strict=True)}

    def training_outputs(self, classifier: Classifier, data: ImageDataModule, epochs: int) -> Outputs:
        """Return the outputs of a classifier that a transfer of ``epochs`` epochs needs."""
        views = [data.training_view(view) for view in data.training_views(epochs)]
        # The label, which the short form always keeps, is no class of a network that has others.
        form = make_form(self.top_k, classifier.num_classes) if classifier.label_map is None else Full()
        return Outputs(classifier, views, form, data.views is not None)

    def outputs(self, classifier: Classifier, views: Sequence[OrderedView]) -> list[Tensor] | None:
        """Return the stored logits ``[rows, C]`` of each view, computing those that are missing.

        Returns:
            None if the outputs must be computed live: with ``store=off``, or with ``auto`` if they are not a function
            of the sample or do not fit, which is logged.

        Raises:
            UserError: If ``store=readonly`` and an entry is missing or damaged, or ``store=fill`` and storing fails.
        """
        return self._stored(Outputs(classifier, views, Full()))

    def features(self, classifier: Classifier, images: OrderedView) -> Tensor:
        """Return a frozen model's stored features ``[rows, D]`` of images, computing them if they are missing.

        Raises:
            UserError: The model has no features, or they cannot be stored.
        """
        stored = self._stored(Outputs(classifier, [images], Features()))
        if stored is None:
            raise UserError(f"the features of {classifier.name} come from the store: use store=auto")
        return stored[0]

    def fill(self, classifier: Classifier, data: ImageDataModule, epochs: int) -> None:
        """Store the outputs that a transfer needs: on all training views and the plain test images.

        Raises:
            UserError: As for `outputs`.
        """
        self._stored(self.training_outputs(classifier, data, epochs))
        self._stored(self.test_outputs(classifier, data))

    @staticmethod
    def test_outputs(classifier: Classifier, data: ImageDataModule) -> Outputs:
        """Return the outputs of a classifier on the plain test images."""
        return Outputs(classifier, [data.test_images(classifier.framing)], Full())

    def _stored(self, wanted: Outputs) -> list[Tensor] | None:
        if self.mode == "off" or not wanted.classifier.storable:
            return None
        try:
            check_repeatable(wanted)
            keys = keys_of(wanted, self.device.name)
            found = {key: self._open(key) for key in keys}
            missing = {key: view for key, view in zip(keys, wanted.views, strict=True) if found[key] is None}
            if self.mode == "auto" and not wanted.asked_again and len(missing) == len(found):
                self._say("Frozen models run live: each epoch draws fresh views (store=fill keeps their outputs too)")
                return None
            if missing:
                found |= self._compute(wanted, missing)
        except (Unrepeatable, NoRoom) as error:
            if self.mode != "auto":
                live = "transfer.part=all" if self.head_only else "store=auto"
                kind = NotWritten if isinstance(error, NoRoom) else UserError
                raise kind(f"{error}. {live} computes live where nothing can be stored") from error
            self._say(f"Computed live: {error}")
            return None
        return [stored for stored in found.values() if stored is not None]

    def _open(self, key: Key) -> Tensor | None:
        try:
            return self.store.open(key)
        except Damaged as error:
            if self.mode == "readonly":
                raise UserError(f"{error}; with store=auto it is computed anew") from error
            return None  # the lock's holder deletes it and reports it

    def _compute(self, wanted: Outputs, missing: dict[Key, OrderedView]) -> dict[Key, Tensor]:
        name = wanted.classifier.name
        if self.mode == "readonly":
            raise UserError(
                f"store=readonly, but the outputs of {name} for this data are not in {self.store.root}: "
                "fill the store with task=store and the same data options, or use store=auto (task=store stores the "
                "logits of models for training views and test images; features, other plain images, a student "
                "with other classes and the student between the stages of a schedule are stored by runs themselves)"
            )
        first = probe(wanted, self._answer)
        dtype = str(first.dtype).removeprefix("torch.")
        shapes = {key: Shape(len(view.rows), first.shape[1], dtype) for key, view in missing.items()}
        self.store.make_room(sum(self.store.remaining(key, shape) for key, shape in shapes.items()))
        stored: dict[Key, Tensor] = {}
        for wait in (False, True):  # entries locked by another process come last, and may be ready by then
            for key in [key for key in missing if key not in stored]:
                with self.store.lock(key, wait=wait) as held:
                    if held:
                        stored[key] = self._fill(wanted, key, missing[key], shapes[key])
        wanted.classifier.cpu()  # its outputs are all stored now
        return stored

    def _fill(self, wanted: Outputs, key: Key, view: OrderedView, shape: Shape) -> Tensor:
        try:
            stored = self.store.open(key)  # another process may have written it meanwhile
        except Damaged as error:
            logger.warning("%s: it is computed anew", error)
            self.store.delete(self.store.folder(key))
            stored = None
        if stored is None:
            self.store.write(key, shape, lambda start: self._blocks(wanted, view, start))
            stored = self.store.open(key)
        if stored is None:
            raise NoRoom(f"another run deleted {self.store.folder(key)} to make room for its own: raise store.max_gb")
        return stored

    def _blocks(self, wanted: Outputs, view: OrderedView, start: int) -> Iterator[Tensor]:
        if start == len(view.rows):
            return
        what = "test images" if view.view < 0 else f"view {view.view}"
        bar = tqdm(
            total=len(view.rows), initial=start, desc=f"Storing outputs of {wanted.classifier.name}, {what}",
            unit="images", disable=not self.progress, leave=False,
        )  # fmt: skip
        with bar:
            for batch in view.batches(start):
                answer = self._answer(wanted, batch)
                yield wanted.form.pack(answer, batch["label"].to(answer.device))
                bar.update(len(batch["label"]))
                leave_between_batches()

    def _answer(self, wanted: Outputs, batch: Batch) -> Tensor:
        source = LiveSource("", wanted.classifier)
        source.to(self.device.root)
        moved: Batch = {**batch, "image": batch["image"].to(self.device.root)}
        with self.device.context():
            return source.logits_and_features(moved)[1] if isinstance(wanted.form, Features) else source.logits(moved)

    def _say(self, message: str) -> None:
        if message not in self.said:
            self.said.add(message)
            logger.info("%s", message)
