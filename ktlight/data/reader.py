"""From a request for rows and a view to a batch of pixels, and the loader around it."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ktlight.data.augment import Augment, Pixels, pad_crop, resized_crop, view_uniforms
from ktlight.data.dataset import ImageTable
from ktlight.data.geometry import to_canvas
from ktlight.data.samplers import PLAIN_VIEW, BatchRequest, OrderedBatches, TrainBatches
from ktlight.errors import UserError
from ktlight.functional.randomness import IntArray
from ktlight.types import Batch

MEMORY_BUDGET = 2**30
MOST_WORKERS = 8


class BatchReader(Dataset[Batch | UserError]):
    """Reads any view of any rows of one split; a batch is a pure function of (seed, view, rows).

    Args:
        table: The split.
        rows: The rows that will be asked for; see :meth:`keep_in_memory`.
        canvas: Side of the square images, in pixels.
        augment: What a view is.
        seed: Of the views.
    """

    def __init__(self, table: ImageTable, rows: IntArray, canvas: int, augment: Augment, seed: int) -> None:
        self.table = table
        self.rows = rows
        self.canvas = canvas
        self.augment = augment
        self.seed = seed
        self.kept: Pixels | None = None

    @property
    def fits_in_memory(self) -> bool:
        """Whether all rows, decoded at canvas size, take at most 1 GiB (and are the same each time they are read)."""
        return self.table.repeatable and len(self.rows) * 3 * self.canvas**2 <= MEMORY_BUDGET

    def keep_in_memory(self) -> None:
        """Decode all rows once, in threads, so that a batch is a look-up from then on."""
        kept = np.empty((len(self.rows), 3, self.canvas, self.canvas), np.uint8)

        def read(slots: IntArray) -> None:
            for slot in slots:
                kept[slot] = to_canvas(self.table.image(int(self.rows[slot])), self.canvas).numpy()

        threads = os.cpu_count() or 1
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(read, np.array_split(np.arange(len(self.rows)), threads)))
        self.kept = kept
        self.slots = np.zeros(len(self.table), np.int64)
        self.slots[self.rows] = np.arange(len(self.rows))

    def __getitem__(self, request: BatchRequest) -> Batch | UserError:
        """Return the batch for ``(view, rows_B)``, or the error if an image cannot be read, for the loader to raise."""
        view, rows_B = request
        try:
            image = self._view(view, rows_B)
        except UserError as error:
            return error
        return {
            "image": image,
            "label": torch.from_numpy(self.table.labels[rows_B]),
            "index": torch.from_numpy(rows_B),
            "view": view,
        }

    def _view(self, view: int, rows_B: IntArray) -> Tensor:
        if view == PLAIN_VIEW or self.augment.kind == "none":
            return self._plain(rows_B)
        uniforms_BD = view_uniforms(self.seed, view, rows_B)
        if self.augment.kind == "pad_crop":
            return torch.from_numpy(pad_crop(_raw(self._plain(rows_B)).numpy(), uniforms_BD, self.augment))
        originals = (_raw(self.table.image(int(row))) for row in rows_B)
        crops = [
            resized_crop(image, uniforms_D, self.augment, self.canvas)
            for image, uniforms_D in zip(originals, uniforms_BD, strict=True)
        ]
        return torch.stack(crops)

    def _plain(self, rows_B: IntArray) -> Tensor:
        if self.kept is not None:
            return torch.from_numpy(self.kept[self.slots[rows_B]])
        return torch.stack([to_canvas(self.table.image(int(row)), self.canvas) for row in rows_B])


def _raw(images: Tensor) -> Tensor:
    if images.is_floating_point():
        raise UserError(
            "Floating-point images pass through untouched: use the augmentation 'none', or give uint8 images."
        )
    return images


class BatchLoader(DataLoader[Batch | UserError]):
    """A loader of whole batches that raises a worker's error as it was, its message free of the worker's traceback."""

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        failure = None
        for batch in super().__iter__():
            if isinstance(batch, UserError):
                failure = str(batch)
                break
            yield batch
        if failure is not None:
            self._iterator = None  # ends the workers now; kept alive by a traceback, they would take 5 s each to end
            raise UserError(failure)


def batch_loader(reader: BatchReader, batches: TrainBatches | OrderedBatches, workers: int | None) -> BatchLoader:
    """Return a loader of the batches.

    Args:
        reader: Reads them.
        batches: Says which.
        workers: Number of processes that decode; ``None``: 0 for a split in memory, else one per core, at most 8.
    """
    if workers is None:
        workers = 0 if reader.kept is not None else min(os.cpu_count() or 1, MOST_WORKERS)
    return BatchLoader(
        reader,
        sampler=batches,
        batch_size=None,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator(),  # the loader draws from it; without it, from the global one that dropout uses
    )
