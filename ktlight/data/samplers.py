"""Which rows make up each batch, and which view of them: pure functions of (seed, epoch, rank).

Each sampler yields whole batches, as ``(view, rows_B)``, and is passed to the loader as its ``sampler`` with
``batch_size=None``, so that Lightning calls its ``set_epoch`` before every epoch, as it would not for a
``batch_sampler``, and a whole batch is read at once.
"""

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

from ktlight.errors import UserError
from ktlight.functional.randomness import IntArray, random_order

PLAIN_VIEW = -1

BatchRequest = tuple[int, IntArray]


class TrainBatches(Sampler[BatchRequest]):
    """Shuffled batches of one epoch for one of several processes.

    The order is split into global batches of ``batch_size * world_size`` rows, and each of these into one slice per
    rank, so that all processes together take the steps of one process with the global batch. The last global batch,
    which may be smaller, is also split equally: at most ``world_size - 1`` rows are left out of an epoch.

    Args:
        rows: The rows to train on.
        batch_size: Rows per step and process.
        seed: Seed of the order.
        views: Number of different views; epoch e shows view e mod ``views``. ``None``: epoch e shows view e.
        rank: Of this process.
        world_size: Number of processes.
    """

    def __init__(
        self, rows: IntArray, batch_size: int, seed: int, views: int | None, rank: int = 0, world_size: int = 1
    ) -> None:
        self.rows = rows
        self.batch_size = batch_size
        self.seed = seed
        self.views = views
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, from 0, that the next iteration yields."""
        self.epoch = epoch

    def __len__(self) -> int:
        return train_steps(len(self.rows), self.batch_size, self.world_size)

    def __iter__(self) -> Iterator[BatchRequest]:
        view = self.epoch if self.views is None else self.epoch % self.views
        order = random_order(self.rows, self.seed, self.epoch)
        for step in range(len(self)):
            start = step * self.batch_size * self.world_size
            size = min(self.batch_size, (len(order) - start) // self.world_size)
            start += self.rank * size
            yield view, order[start : start + size]


def train_steps(num_train: int, batch_size: int, world_size: int) -> int:
    """Return the number of batches that each process takes in an epoch."""
    whole, rest = divmod(num_train, batch_size * world_size)
    return whole + (rest >= world_size)


class OrderedBatches(Sampler[BatchRequest]):
    """Every row once, in order, in one view, split over the processes without padding or duplicates.

    Batches are as equal in size as possible, and every process has the same number of them: otherwise a collective
    operation in the forward pass (where DDP synchronises buffers) would hang.

    Args:
        rows: The rows to evaluate.
        batch_size: Maximum rows per step and process (one more if otherwise some process would get no row).
        rank: Of this process.
        world_size: Number of processes.
        view: Which view; by default the plain image.

    Raises:
        UserError: If there are fewer rows than processes.
    """

    def __init__(
        self, rows: IntArray, batch_size: int, rank: int = 0, world_size: int = 1, view: int = PLAIN_VIEW
    ) -> None:
        if len(rows) < world_size:
            raise UserError(f"{len(rows)} samples cannot be dealt to {world_size} processes: use fewer devices.")
        self.rows = rows
        self.rank = rank
        self.world_size = world_size
        self.view = view
        self.num_batches = min(-(-len(rows) // (batch_size * world_size)), len(rows) // world_size)

    def __len__(self) -> int:
        return self.num_batches

    def __iter__(self) -> Iterator[BatchRequest]:
        for batch in np.array_split(self.rows, self.num_batches):
            yield self.view, np.array_split(batch, self.world_size)[self.rank]
