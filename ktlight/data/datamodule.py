"""The Lightning data module: subset, order, geometry and views; raw pixels, never normalised."""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch import LightningDataModule

from ktlight.data.augment import Augment
from ktlight.data.dataset import ImageDataset, ImageTable
from ktlight.data.device import DeviceReader, fits_on_device
from ktlight.data.loader import BatchLoader, batch_loader
from ktlight.data.reader import BatchReader
from ktlight.data.samplers import PLAIN_VIEW, OrderedBatches, TrainBatches, train_steps
from ktlight.data.subset import stratified_subset
from ktlight.errors import UserError
from ktlight.functional.randomness import IntArray


@dataclass(frozen=True)
class OrderedView:
    """One view of the rows of a split in ascending order: what stored outputs are the outputs of.

    Attributes:
        reader: Reads the split.
        rows: Which rows, ascending.
        view: Number of the view; -1 for the plain image.
        transform: Everything that a view depends on beside its number, in words.
        batch_size: Rows a batch.
        workers: As for the data module.
    """

    reader: BatchReader
    rows: IntArray
    view: int
    transform: str
    batch_size: int
    workers: int | None

    @property
    def labels(self) -> IntArray:
        """The labels of the rows."""
        return self.reader.table.labels[self.rows]

    @property
    def repeatable(self) -> bool:
        """Whether a row gives the same pixels every time."""
        return self.reader.table.repeatable

    @property
    def fingerprint(self) -> str:
        """Identity of the images, the labels and the chosen rows."""
        rows = hashlib.sha256(self.rows.astype("<i8").tobytes()).hexdigest()
        return f"{self.reader.table.fingerprint} {rows}"

    def batches(self, start: int = 0) -> BatchLoader:
        """Return the loader of the rows from position ``start`` on."""
        ordered = OrderedBatches(self.rows[start:], self.batch_size, view=self.view)
        return batch_loader(self.reader, ordered, self.workers)


class ImageDataModule(LightningDataModule):
    """Loaders of raw uint8 batches (:class:`ktlight.types.Batch`) on one square canvas.

    Use it with ``Trainer(use_distributed_sampler=False)``: the loaders already deal to each process its part.

    Args:
        dataset: The data.
        canvas: Side of the square images, in pixels.
        augment: What a training view is.
        fraction: Share of the training split to use, stratified; see :mod:`ktlight.data.subset`.
        views: Number of different training views; epoch e shows view e mod ``views``. ``None``: a fresh one each epoch.
        batch_size: Per process, in training.
        eval_batch_size: Per process, for plain images.
        workers: Reading processes; ``None``: 0 where a batch is a look-up in memory, else one per core, at most 8.
        seed: Of the epochs' order and of the views.
        holdout: Share of the training rows to keep apart (stratified), for :meth:`holdout_dataloader`.
        evaluate_on: What the figures are measured on: ``val``, or ``holdout``, the training rows kept apart, to choose
            options without a look at the validation split.
        networks: Number of networks that learn and look at a view of their own; above 1, training batches carry
            ``peer_images``. The first network's view is the same for any number.

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
        networks: int = 1,
    ) -> None:
        super().__init__()
        counts = {"canvas": canvas, "batch_size": batch_size, "eval_batch_size": eval_batch_size}
        if views is not None:
            counts["views"] = views
        for name, value in counts.items():
            if value < 1:
                raise UserError(f"data.{name} must be at least 1, not {value}.")
        self.dataset = dataset
        self.canvas = canvas
        self.augment = augment
        self.views = 1 if augment.kind == "none" else views
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.workers = workers
        self.seed = seed
        self.train_rows, self.holdout_rows = _divide(dataset.train, fraction, holdout)
        self.evaluate_on = evaluate_on
        self.networks = networks
        self._on_device: dict[tuple[BatchReader, torch.device], DeviceReader] = {}
        if evaluate_on == "holdout":
            self._check_holdout()

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
        reader = self._placed(self._student_reader)
        rank, world_size = self._place()
        batches = TrainBatches(self.train_rows, self.batch_size, self.seed, self.views, rank, world_size)
        if not len(batches):
            raise UserError(f"{self.num_train} training images cannot be dealt to {world_size} processes: use fewer.")
        return batch_loader(reader, batches, self.workers)

    def val_dataloader(self) -> BatchLoader:
        """Return the loader of the plain images that the figures are measured on."""
        images = self.ordered_test_images()
        return batch_loader(self._placed(images.reader), self._plain_batches(images.rows), self.workers)

    def test_dataloader(self) -> BatchLoader:
        """Return the same loader as in validation."""
        return self.val_dataloader()

    def holdout_dataloader(self) -> BatchLoader:
        """Return the loader of the plain training images that were kept apart."""
        self._check_holdout()
        reader = self._placed(self._holdout_reader)
        return batch_loader(reader, self._plain_batches(self.holdout_rows), self.workers)

    @cached_property
    def _train_reader(self) -> BatchReader:
        return self._reader(self._train_table(), self.train_rows, self.augment)

    @cached_property
    def _student_reader(self) -> BatchReader:
        return self._train_reader.seen_by(self.networks)

    @cached_property
    def _holdout_reader(self) -> BatchReader:
        return self._reader(self._train_table(), self.holdout_rows, Augment("none"))

    @cached_property
    def _val_reader(self) -> BatchReader:
        return self._reader(self.dataset.val, np.arange(len(self.dataset.val)), Augment("none"))

    def _reader(self, table: ImageTable, rows: IntArray, augment: Augment) -> BatchReader:
        reader = BatchReader(table, rows, self.canvas, augment, self.seed)
        reader.keep_in_memory()
        return reader

    def _placed(self, reader: BatchReader) -> BatchReader | DeviceReader:
        """Return the reader, on the trainer's device where its images fit and no worker processes were asked for."""
        if self.trainer is None or self.workers:
            return reader
        device = self.trainer.strategy.root_device
        place = reader, device
        if place not in self._on_device and fits_on_device(reader, device):
            self._on_device[place] = DeviceReader(reader, device)
        return self._on_device.get(place, reader)

    def _train_table(self) -> ImageTable:
        if self.dataset.train is None:
            raise UserError(f"{self.dataset.name} has no training split here: give data.train= (or use task=evaluate).")
        return self.dataset.train

    def training_views(self, epochs: int) -> range:
        """Return the numbers of the views that ``epochs`` epochs of training show."""
        return range(epochs if self.views is None else min(self.views, epochs))

    def ordered_training_view(self, view: int) -> OrderedView:
        """Return one view of all training rows, in order."""
        transform = f"canvas={self.canvas} seed={self.seed} {self.augment.description}"
        return OrderedView(self._train_reader, self.train_rows, view, transform, self.eval_batch_size, self.workers)

    def ordered_test_images(self) -> OrderedView:
        """Return the plain images that the figures are measured on, in order."""
        if self.evaluate_on == "holdout":
            return self.ordered_holdout_images()
        return self._plain_images(self._val_reader)

    def ordered_holdout_images(self) -> OrderedView:
        """Return the plain training images that were kept apart, in order."""
        self._check_holdout()
        return self._plain_images(self._holdout_reader)

    def ordered_training_images(self) -> OrderedView:
        """Return the plain training images, in order."""
        return replace(self.ordered_training_view(PLAIN_VIEW), transform=f"canvas={self.canvas}")

    def _plain_images(self, reader: BatchReader) -> OrderedView:
        transform = f"canvas={self.canvas}"
        return OrderedView(reader, reader.rows, PLAIN_VIEW, transform, self.eval_batch_size, self.workers)

    def _check_holdout(self) -> None:
        if not len(self.holdout_rows):
            raise UserError("No training images are held out: set data.holdout to a share of them, for example 0.1.")

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Move a batch, but leave its indices here: what looks rows up in memory need not wait for the device then."""
        index = batch["index"]
        moved = super().transfer_batch_to_device(batch, device, dataloader_idx)
        moved["index"] = index
        return moved

    def _plain_batches(self, rows: IntArray) -> OrderedBatches:
        return OrderedBatches(rows, self.eval_batch_size, *self._place())

    def _place(self) -> tuple[int, int]:
        """Return (rank, world size)."""
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)


def _divide(table: ImageTable | None, fraction: float, holdout: float) -> tuple[IntArray, IntArray]:
    """Return the rows to train on and the rows to keep apart."""
    if not 0 <= holdout < 1:
        raise UserError(f"data.holdout must be a share of the training images below 1, not {holdout}.")
    nothing = np.arange(0)
    if table is None:
        return nothing, nothing
    rows = stratified_subset(table.labels, fraction)
    if holdout == 0:
        return rows, nothing
    apart = stratified_subset(table.labels[rows], holdout)
    return np.delete(rows, apart), rows[apart]
