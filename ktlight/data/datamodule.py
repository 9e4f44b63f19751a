"""The Lightning data module: subset, order, geometry and views; raw pixels, never normalised."""

import copy
from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities import CombinedLoader

from ktlight.data.augment import Augment
from ktlight.data.dataset import ImageDataset, ImageTable
from ktlight.data.decoding import PIXELS
from ktlight.data.device import DeviceReader, fits_on_device
from ktlight.data.features import FeatureReader
from ktlight.data.loader import BatchLoader, batch_loader
from ktlight.data.ordered import OrderedView
from ktlight.data.reader import MEMORY_BUDGET, BatchReader
from ktlight.data.samplers import PLAIN_VIEW, OrderedBatches, TrainBatches, train_steps
from ktlight.data.subset import divide
from ktlight.errors import UserError
from ktlight.functional.geometry import Framing
from ktlight.functional.randomness import IntArray


class ImageDataModule(LightningDataModule):
    """Loaders of raw uint8 batches (:class:`ktlight.types.Batch`).

    Training views are drawn on one square canvas, the same for every network: they are a function of the data and its
    settings alone. Plain images (validation, test, held-out) are framed for each model separately.

    Use it with ``Trainer(use_distributed_sampler=False)``: the loaders already give each process its part.

    Args:
        dataset: The data.
        canvas: Side of the square that training views are drawn on, in pixels; also the framing of plain images for
            networks without their own.
        augment: Augmentation of training views.
        fraction: Share of the training split to use, stratified; see :mod:`ktlight.data.subset`.
        views: Number of different training views; epoch e shows view e mod ``views``. ``None``: a fresh one each epoch.
        batch_size: Per process, in training.
        eval_batch_size: Per process, for plain images.
        workers: Reading processes; ``None``: 0 if a batch is a look-up in memory, else one per core, at most 8.
        seed: Seed of the epochs' order and of the views.
        holdout: Share of the training rows to hold out (stratified), for :meth:`holdout_dataloader`.
        evaluate_on: What to measure on: ``val``, or ``holdout``, the held-out training rows, to choose options without
            using the validation split.

    Attributes:
        framings: Framing of each validated network; see :meth:`seen_by`.
        views_at_once: Number of views of each image in a training batch, one for each network that wants its own; above
            1, batches carry ``peer_images``. The first network's view is the same for any number.

    Raises:
        UserError: A number is out of its range.
    """

    def __init__(
        self,
        dataset: ImageDataset,
        *,
        canvas: int,
        augment: Augment,
        fraction: float,
        views: int | None,
        batch_size: int,
        eval_batch_size: int,
        workers: int | None,
        seed: int,
        holdout: float = 0.0,
        evaluate_on: Literal["val", "holdout"] = "val",
    ) -> None:
        super().__init__()
        self.dataset = dataset
        self.canvas = canvas
        self.augment = augment
        self.views = 1 if augment.kind == "none" else views
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.workers = workers
        self.seed = seed
        labels = np.arange(0) if dataset.train is None else dataset.train.labels
        self.train_rows, self.holdout_rows = divide(labels, fraction, holdout)
        self.evaluate_on = evaluate_on
        self.framings: Sequence[Framing | None] = (None,)
        self.views_at_once = 1
        self._plain_readers: dict[tuple[str, Framing], BatchReader] = {}
        self._view_readers: dict[int, BatchReader] = {}
        self._on_device: dict[tuple[BatchReader, torch.device], DeviceReader] = {}
        if evaluate_on == "holdout":
            self._check_holdout()

    def seen_by(self, framings: Sequence[Framing | None], views_at_once: int = 1) -> Self:
        """Return the same data with plain images in the given framings, sharing what is in memory.

        Args:
            framings: Framing of each validated network, the student first; None means the canvas.
            views_at_once: Number of views of each image in a training batch.
        """
        seen = copy.copy(self)
        seen.framings = framings
        seen.views_at_once = views_at_once
        return seen

    @property
    def num_train(self) -> int:
        """Number of training images, after the fraction and without those held out."""
        return len(self.train_rows)

    @property
    def num_eval(self) -> int:
        """Number of images that the figures are measured on."""
        return len(self.holdout_rows if self.evaluate_on == "holdout" else self.dataset.val)

    def steps_per_epoch(self, world_size: int) -> int:
        """Return the number of batches that each of ``world_size`` processes takes in an epoch."""
        return train_steps(self.num_train, self.batch_size, world_size)

    def train_dataloader(self) -> BatchLoader:
        """Return the loader of training views, shuffled anew each epoch."""
        reader = self._placed(self._training_reader())
        rank, world_size = self._place()
        batches = TrainBatches(self.train_rows, self.batch_size, self.seed, self.views, rank, world_size)
        if not len(batches):
            raise UserError(f"{self.num_train} training images cannot be dealt to {world_size} processes: use fewer.")
        return batch_loader(reader, batches, self.workers)

    def val_dataloader(self) -> CombinedLoader:
        """Return the loader of the test images: a batch of the same rows for each network."""
        return self._in_step([self.test_images(framing) for framing in self.framings])

    def test_dataloader(self) -> CombinedLoader:
        """Return the same loader as in validation."""
        return self.val_dataloader()

    def holdout_dataloader(self) -> CombinedLoader:
        """Return the loader of the held-out training images: a batch of the same rows for each network."""
        return self._in_step([self.holdout_images(framing) for framing in self.framings])

    def _in_step(self, images: Sequence[OrderedView]) -> CombinedLoader:
        loaders = [
            batch_loader(self._placed(view.reader), self._plain_batches(view.rows), self.workers) for view in images
        ]
        return CombinedLoader(loaders, "min_size")

    def training_views(self, epochs: int) -> range:
        """Return the numbers of the views in ``epochs`` epochs of training."""
        return range(epochs if self.views is None else min(self.views, epochs))

    def training_view(self, view: int) -> OrderedView:
        """Return one view of all training rows, in order."""
        transform = f"pixels={PIXELS} canvas={self.canvas} seed={self.seed} {self.augment.description}"
        return self._ordered(self._view_reader(), self.train_rows, view, transform)

    def test_images(self, framing: Framing | None) -> OrderedView:
        """Return the plain evaluation images, in order, in the given framing."""
        if self.evaluate_on == "holdout":
            return self.holdout_images(framing)
        return self._plain("val", self.dataset.val, np.arange(len(self.dataset.val)), framing)

    def holdout_images(self, framing: Framing | None) -> OrderedView:
        """Return the plain held-out training images, in order, in the given framing."""
        self._check_holdout()
        return self._plain("holdout", self._train_table, self.holdout_rows, framing)

    def training_images(self, framing: Framing | None) -> OrderedView:
        """Return the plain training images, in order, in the given framing."""
        return self._plain("train", self._train_table, self.train_rows, framing)

    def _plain(self, split: str, table: ImageTable, rows: IntArray, framing: Framing | None) -> OrderedView:
        framing = framing or self._canvas_framing
        if (split, framing) not in self._plain_readers:
            taken = sum(reader.kept_bytes for reader in self._plain_readers.values())
            reader = BatchReader(table, rows, framing)
            reader.keep_in_memory(MEMORY_BUDGET - taken)
            self._plain_readers[split, framing] = reader
        return self._ordered(self._plain_readers[split, framing], rows, PLAIN_VIEW, f"pixels={PIXELS} {framing}")

    def _ordered(self, reader: BatchReader | FeatureReader, rows: IntArray, view: int, transform: str) -> OrderedView:
        return OrderedView(reader, rows, view, transform, self.eval_batch_size, self.workers)

    def _training_reader(self) -> BatchReader | FeatureReader:
        return self._view_reader(self.views_at_once)

    def _view_reader(self, views_at_once: int = 1) -> BatchReader:
        if views_at_once not in self._view_readers:
            if views_at_once > 1:
                reader = self._view_reader().with_views(views_at_once)
            else:
                table, framing = self._train_table, self._canvas_framing
                reader = BatchReader(table, self.train_rows, framing, self.augment, self.seed)
                reader.keep_in_memory(MEMORY_BUDGET)
            self._view_readers[views_at_once] = reader
        return self._view_readers[views_at_once]

    @property
    def _canvas_framing(self) -> Framing:
        return Framing((self.canvas, self.canvas))

    @property
    def _train_table(self) -> ImageTable:
        if self.dataset.train is None:
            raise UserError(f"{self.dataset.name} has no training split here: give data.train= (or use task=evaluate).")
        return self.dataset.train

    def _placed(self, reader: BatchReader | FeatureReader) -> BatchReader | FeatureReader | DeviceReader:
        """Return the reader, on the trainer's device if its images fit there and no worker processes were requested."""
        if self.trainer is None or self.workers or isinstance(reader, FeatureReader):
            return reader
        device = self.trainer.strategy.root_device
        place = reader, device
        if place not in self._on_device and fits_on_device(reader, device):
            self._on_device[place] = DeviceReader(reader, device)
        return self._on_device.get(place, reader)

    def _check_holdout(self) -> None:
        if not len(self.holdout_rows):
            raise UserError("No training images are held out: set data.holdout to a share of them, for example 0.1.")

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Move a batch but keep its indices on the CPU, so that look-ups in memory need not wait for the device."""
        if isinstance(batch, list):  # one for each network
            return [self.transfer_batch_to_device(each, device, dataloader_idx) for each in batch]
        index = batch["index"]
        moved = super().transfer_batch_to_device(batch, device, dataloader_idx)
        moved["index"] = index
        return moved

    def _plain_batches(self, rows: IntArray) -> OrderedBatches:
        return OrderedBatches(rows, self.eval_batch_size, *self._place())

    def _place(self) -> tuple[int, int]:
        """Return (rank, world size)."""
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)
