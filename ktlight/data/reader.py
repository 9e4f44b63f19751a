"""Reads batches of pixels, given rows and a view."""

import copy
import os
from concurrent.futures import ThreadPoolExecutor
from math import prod
from typing import Self

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ktlight.data.augment import Augment, Pixels, pad_crop, resized_crop, view_uniforms
from ktlight.data.dataset import ImageTable
from ktlight.data.originals import keep_originals
from ktlight.data.samplers import PLAIN_VIEW, BatchRequest
from ktlight.data.shared import rows_identity, shared
from ktlight.errors import UserError
from ktlight.functional.geometry import Framing
from ktlight.functional.randomness import IntArray
from ktlight.types import Batch

MEMORY_BUDGET = 2**30
PLAIN = Augment("none")


class BatchReader(Dataset[Batch | UserError]):
    """Reads any view of any rows of one split; a batch is a pure function of (seed, view, rows).

    Pixels of ``resized_crop`` are channels-last in memory, all others contiguous.

    Args:
        table: The split.
        rows: The rows that will be read; see :meth:`keep_in_memory`.
        framing: Framing of plain images: a model's own, or the square canvas that views start from.
        augment: Augmentation of views; ``none`` for readers of plain images.
        seed: Seed of the views.

    Attributes:
        views_at_once: Number of views of each row in a batch, one per network with its own view.
        kept: The rows' plain images, ``uint8 [n, 3, h, w]``, if kept in memory.
        slots: For each row of the split, its position in ``kept``; past the end for rows that are not kept.
    """

    def __init__(
        self, table: ImageTable, rows: IntArray, framing: Framing, augment: Augment = PLAIN, seed: int = 0
    ) -> None:
        self.table = table
        self.rows = rows
        self.framing = framing
        self.augment = augment
        self.seed = seed
        self.views_at_once = 1
        self.kept: Pixels | None = None
        self.slots = np.full(len(table), len(rows), np.int64)
        self.slots[rows] = np.arange(len(rows))

    def keep_in_memory(self, budget: int) -> None:
        """Decode all rows once, in threads, if they take at most ``budget`` bytes and are repeatable.

        The processes of a machine share one copy; see :func:`~ktlight.data.shared.shared`.

        For ``resized_crop`` this keeps the originals, for all others the plain images, which makes a batch a look-up.
        """
        if not self.table.repeatable or not len(self.rows) or self.table.image(int(self.rows[0])).is_floating_point():
            return
        if self.augment.kind == "resized_crop":
            self.table = keep_originals(self.table, self.rows, budget) or self.table
        elif len(self.rows) * 3 * prod(self.framing.size) <= budget:
            identity = f"plain {rows_identity(self.table, self.rows)} {self.framing}"
            arrays = shared(identity, lambda: [self._decoded()])
            self.kept = arrays[0] if arrays else None

    @property
    def kept_bytes(self) -> int:
        """Bytes of the plain images that are kept."""
        return 0 if self.kept is None else self.kept.nbytes

    def _decoded(self) -> Pixels:
        kept = np.empty((len(self.rows), 3, *self.framing.size), np.uint8)

        def read(slots: IntArray) -> None:
            for slot in slots:
                kept[slot] = self.framing(self.table.image(int(self.rows[slot]))).numpy()

        threads = os.cpu_count() or 1
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(read, np.array_split(np.arange(len(self.rows)), threads)))
        return kept

    def with_views(self, count: int) -> Self:
        """Return a reader of the same images whose batches carry ``count`` views of each."""
        reader = copy.copy(self)
        reader.views_at_once = count
        return reader

    def __getitem__(self, request: BatchRequest) -> Batch | UserError:
        """Return the batch for ``(view, rows_B)``, or the error if an image cannot be read, for the loader to raise."""
        view, rows_B = request
        try:
            image, *peer_images = self._views(view, rows_B)
        except UserError as error:
            return error
        batch: Batch = {
            "image": image,
            "label": torch.from_numpy(self.table.labels[rows_B]),
            "index": torch.from_numpy(rows_B),
            "view": view,
        }
        if peer_images:
            batch["peer_images"] = peer_images
        return batch

    def _views(self, view: int, rows_B: IntArray) -> list[Tensor]:
        """Return the view of each network; plain images are shared by all."""
        if view == PLAIN_VIEW:
            return [self._plain(rows_B)]
        if self.augment.kind == "none":
            return [self._plain(rows_B)] * self.views_at_once
        uniforms_NBD = [view_uniforms(self.seed, view, rows_B, network) for network in range(self.views_at_once)]
        if self.augment.kind == "pad_crop":
            plain = _raw(self._plain(rows_B)).numpy()
            return [torch.from_numpy(pad_crop(plain, uniforms_BD, self.augment)) for uniforms_BD in uniforms_NBD]
        shape = (len(rows_B), *self.framing.size, 3)
        views = [torch.empty(shape, dtype=torch.uint8).permute(0, 3, 1, 2) for _ in uniforms_NBD]
        for place, row in enumerate(rows_B.tolist()):
            original = _raw(self.table.image(row))
            for images, uniforms_BD in zip(views, uniforms_NBD, strict=True):
                images[place] = resized_crop(original, uniforms_BD[place], self.augment, self.framing.size[0])
        return views

    def _plain(self, rows_B: IntArray) -> Tensor:
        if self.kept is not None:
            return torch.from_numpy(self.kept[self.slots[rows_B]])
        return torch.stack([self.framing(self.table.image(int(row))).contiguous() for row in rows_B])


def _raw(images: Tensor) -> Tensor:
    if images.is_floating_point():
        raise UserError(
            "Floating-point images pass through untouched: use the augmentation 'none', or give uint8 images."
        )
    return images
