"""Decoded originals kept in memory, so that every further view needs only a crop and a resize."""

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ktlight.data.dataset import ImageTable
from ktlight.data.shared import rows_identity, shared
from ktlight.functional.randomness import IntArray

SAMPLED_ROWS = 16


class OriginalsInMemory:
    """Decoded rows of a table: itself an image table with the same pixels.

    All pixels are in one channels-last buffer, so that worker processes share one copy and resizing needs no
    conversion.

    Args:
        table: Source of labels and identity.
        rows: The rows kept in memory.
        pixels: ``uint8``, the images ``[h, w, 3]`` of the rows one after another.
        sizes: Height and width of each, ``int64 [n, 2]``.
    """

    repeatable = True

    def __init__(self, table: ImageTable, rows: IntArray, pixels: Tensor, sizes: IntArray) -> None:
        self.table = table
        self.labels = table.labels
        self.pixels = pixels
        self.sizes = sizes
        self.offsets = np.fromiter(accumulate(3 * sizes.prod(1), initial=0), np.int64)
        self.slots = np.full(len(table), -1)
        self.slots[rows] = np.arange(len(rows))

    @property
    def fingerprint(self) -> str:
        """Identity of the content: that of the table."""
        return self.table.fingerprint

    def __len__(self) -> int:
        return len(self.table)

    def image(self, row: int) -> Tensor:
        """Return one image, ``uint8 [3, h, w]``, read-only. Rows that are not kept are decoded."""
        slot = self.slots[row]
        if slot < 0:
            return self.table.image(row)
        height, width = self.sizes[slot].tolist()
        return self.pixels[self.offsets[slot] : self.offsets[slot + 1]].view(height, width, 3).permute(2, 0, 1)


def keep_originals(table: ImageTable, rows: IntArray, budget: int) -> OriginalsInMemory | None:
    """Decode the rows once, in threads, for all processes of the machine.

    Returns None if they take more than ``budget`` bytes.

    A sample of the rows is checked first, so that a data set far too large costs nothing.

    Raises:
        UserError: If an image cannot be read.
    """
    sampled = [table.image(int(row)) for row in rows[:: max(1, len(rows) // SAMPLED_ROWS)]]
    if any(image.is_floating_point() for image in sampled):
        return None
    if sum(image.numel() for image in sampled) / len(sampled) * len(rows) > budget:
        return None
    arrays = shared(f"originals {rows_identity(table, rows)}", lambda: _decoded(table, rows, budget))
    if arrays is None:
        return None
    sizes, pixels = arrays
    return OriginalsInMemory(table, rows, torch.from_numpy(pixels), sizes)


def _decoded(table: ImageTable, rows: IntArray, budget: int) -> tuple[IntArray, NDArray[np.uint8]] | None:
    images: list[Tensor] = []
    taken = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for image in pool.map(table.image, rows.tolist()):
            taken += image.numel()
            if taken > budget:
                pool.shutdown(wait=False, cancel_futures=True)
                return None
            images.append(image)
    sizes = np.array([(image.shape[1], image.shape[2]) for image in images], np.int64)
    return sizes, torch.cat([image.permute(1, 2, 0).flatten() for image in images]).numpy()
