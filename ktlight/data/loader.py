"""The loader of whole batches around a reader."""

import os
from collections.abc import Iterator
from typing import cast

import torch
from torch.utils.data import DataLoader

from ktlight.data.device import DeviceReader
from ktlight.data.encoded import UnreadableImageError
from ktlight.data.features import FeatureReader
from ktlight.data.reader import BatchReader
from ktlight.data.samplers import OrderedBatches, TrainBatches
from ktlight.errors import UserError
from ktlight.types import Batch

MOST_WORKERS = 8


class BatchLoader(DataLoader[Batch | UserError]):
    """A loader of whole batches that raises a worker's original error, without the worker's traceback in its message.

    An image that a worker could not read is read again here, where all unreadable images are then listed.
    """

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        failure = None
        for batch in super().__iter__():
            if isinstance(batch, UserError):
                failure = batch
                break
            yield batch
        if failure is not None:
            self._iterator = None  # ends the workers now; kept alive by a traceback, they would take 5 s each to end
            if isinstance(failure, UnreadableImageError):
                cast(BatchReader, self.dataset).table.image(failure.row)
            raise UserError(str(failure))


def batch_loader(
    reader: BatchReader | FeatureReader | DeviceReader, batches: TrainBatches | OrderedBatches, workers: int | None
) -> BatchLoader:
    """Return a loader of the batches.

    Args:
        reader: Reads them.
        batches: Says which.
        workers: Number of processes that read; ``None``: 0 where a batch is a look-up, else one per core, at most 8.
            On a device, and of features, it is always 0.
    """
    if not isinstance(reader, BatchReader):
        workers = 0
    elif workers is None:
        workers = 0 if reader.kept is not None else min(os.cpu_count() or 1, MOST_WORKERS)
    return BatchLoader(
        reader,
        sampler=batches,
        batch_size=None,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available() and not isinstance(reader, DeviceReader),
        generator=torch.Generator(),  # the loader draws from it; without it, from the global one that dropout uses
    )
