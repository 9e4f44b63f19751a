"""From a request for rows and a view to a batch of pixels."""

import copy
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Self

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ktlight.data.augment import Augment, Pixels, pad_crop, resized_crop, view_uniforms
from ktlight.data.dataset import ImageTable
from ktlight.data.geometry import to_canvas
from ktlight.data.originals import keep_originals
from ktlight.data.samplers import PLAIN_VIEW, BatchRequest
from ktlight.errors import UserError
from ktlight.functional.randomness import IntArray
from ktlight.types import Batch

MEMORY_BUDGET = 2**30


class BatchReader(Dataset[Batch | UserError]):
    """Reads any view of any rows of one split; a batch is a pure function of (seed, view, rows).

    Pixels of ``resized_crop`` lie with their channels side by side (channels-last), all others as their shape says.

    Args:
        table: The split.
        rows: The rows that will be asked for; see :meth:`keep_in_memory`.
        canvas: Side of the square images, in pixels.
        augment: What a view is.
        seed: Of the views.

    Attributes:
        networks: How many views of each row a batch carries, one for each network that learns; see :meth:`seen_by`.
        kept: The rows' plain images, ``uint8 [n, 3, canvas, canvas]``, once they are kept.
        slots: For each row of the split, its place in ``kept``.
    """

    def __init__(self, table: ImageTable, rows: IntArray, canvas: int, augment: Augment, seed: int) -> None:
        self.table = table
        self.rows = rows
        self.canvas = canvas
        self.augment = augment
        self.seed = seed
        self.networks = 1
        self.kept: Pixels | None = None
        self.slots = np.zeros(len(table), np.int64)
        self.slots[rows] = np.arange(len(rows))

    def keep_in_memory(self) -> None:
        """Decode all rows once, in threads, if what a view starts from takes at most 1 GiB and is the same every time.

        ``resized_crop`` starts from the originals, the others from the canvas: there a batch is a look-up from then on.
        """
        if not self.table.repeatable or not len(self.rows):
            return
        if self.augment.kind == "resized_crop":
            self.table = keep_originals(self.table, self.rows, MEMORY_BUDGET) or self.table
        elif len(self.rows) * 3 * self.canvas**2 <= MEMORY_BUDGET:
            self.kept = self._decoded()

    def _decoded(self) -> Pixels:
        kept = np.empty((len(self.rows), 3, self.canvas, self.canvas), np.uint8)

        def read(slots: IntArray) -> None:
            for slot in slots:
                kept[slot] = to_canvas(self.table.image(int(self.rows[slot])), self.canvas).numpy()

        threads = os.cpu_count() or 1
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(read, np.array_split(np.arange(len(self.rows)), threads)))
        return kept

    def seen_by(self, networks: int) -> Self:
        """Return a reader of the same images whose batches of views carry one view for each of ``networks``."""
        reader = copy.copy(self)
        reader.networks = networks
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
        """Return the view of each network; the plain image is one for all."""
        if view == PLAIN_VIEW:
            return [self._plain(rows_B)]
        if self.augment.kind == "none":
            return [self._plain(rows_B)] * self.networks
        uniforms_NBD = [view_uniforms(self.seed, view, rows_B, network) for network in range(self.networks)]
        if self.augment.kind == "pad_crop":
            plain = _raw(self._plain(rows_B)).numpy()
            return [torch.from_numpy(pad_crop(plain, uniforms_BD, self.augment)) for uniforms_BD in uniforms_NBD]
        shape = (len(rows_B), self.canvas, self.canvas, 3)
        views = [torch.empty(shape, dtype=torch.uint8).permute(0, 3, 1, 2) for _ in uniforms_NBD]
        for place, row in enumerate(rows_B.tolist()):
            original = _raw(self.table.image(row))
            for images, uniforms_BD in zip(views, uniforms_NBD, strict=True):
                images[place] = resized_crop(original, uniforms_BD[place], self.augment, self.canvas)
        return views

    def _plain(self, rows_B: IntArray) -> Tensor:
        if self.kept is not None:
            return torch.from_numpy(self.kept[self.slots[rows_B]])
        return torch.stack([to_canvas(self.table.image(int(row)), self.canvas).contiguous() for row in rows_B])


def _raw(images: Tensor) -> Tensor:
    if images.is_floating_point():
        raise UserError(
            "Floating-point images pass through untouched: use the augmentation 'none', or give uint8 images."
        )
    return images
