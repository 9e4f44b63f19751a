"""Splits of encoded images, decoded on access, wherever they are stored."""

import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from threading import Lock
from typing import Protocol, Self

import numpy as np
from torch import Tensor
from torch.utils.data import get_worker_info
from tqdm.auto import tqdm

from ktlight.data.dataset import content_fingerprint
from ktlight.data.decoding import DecodeError, decode, is_rotated
from ktlight.errors import UserError
from ktlight.functional.randomness import SAMPLE_STREAM, IntArray, random_order

logger = logging.getLogger(__name__)

LISTED = 10
BLOCK = 256
ROTATION_SAMPLE = 16
_checking = Lock()  # one check at a time, whichever of many threads met the first bad image


class EncodedImages(Protocol):
    """Encoded images that can be read individually, in any order and from several threads and processes.

    Attributes:
        sizes: Number of bytes of each, ``int64 [n]``; -1 where there is no image.
    """

    @property
    def sizes(self) -> IntArray:
        """See the class."""

    def __len__(self) -> int: ...

    def read(self, row: int) -> bytes:
        """Return one encoded image.

        Raises:
            DecodeError: There is none.
        """

    def place(self, row: int) -> str:
        """Return where an image is, for messages."""


class UnreadableImageError(UserError):
    """One image cannot be read, found in a worker process, which is not the place to check all others.

    Attributes:
        row: Row of the image.
    """

    def __init__(self, message: str, row: int) -> None:
        super().__init__(message, row)
        self.row = row

    def __str__(self) -> str:
        return str(self.args[0])


class EncodedTable:
    """A split of encoded images.

    Args:
        images: The images.
        labels: The label of each, ``int64 [n]``.
        source: Where they come from, for messages.
        class_names: In the order of the labels, where the data know them.
        rows: Which of them are the split; all of them by default.
    """

    repeatable = True

    def __init__(
        self,
        images: EncodedImages,
        labels: IntArray,
        source: str,
        class_names: tuple[str, ...] | None = None,
        rows: IntArray | None = None,
    ) -> None:
        self.images = images
        self.all_labels = labels
        self.source = source
        self.class_names = class_names
        self.rows = np.arange(len(images)) if rows is None else rows
        self.labels: IntArray = labels[self.rows]

    @cached_property
    def fingerprint(self) -> str:
        """Identity of the content; see :func:`~ktlight.data.dataset.content_fingerprint`."""
        return content_fingerprint(self.labels, self.images.sizes[self.rows], self._bytes)

    def __len__(self) -> int:
        return len(self.labels)

    def image(self, row: int) -> Tensor:
        """Return one decoded image, ``uint8 [3, h, w]`` RGB.

        Raises:
            UserError: If it is missing or corrupt. The message lists all such images of the split, so that they can be
                fixed together; in a loader's worker process it is an :class:`UnreadableImageError`, and the loader's
                own process reads the image again.
        """
        try:
            return decode(self.images.read(int(self.rows[row])))
        except DecodeError as error:
            if get_worker_info() is not None:
                raise UnreadableImageError(f"{self._place(row)}: {error}", row) from error
            with _checking:
                unreadable = self.unreadable or {row: str(error)}
            raise UserError(
                f"{len(unreadable):,} of {len(self):,} images of {self.source} cannot be read: "
                f"{self._listing(unreadable)}. Replace or remove them, or leave them out with data.skip_corrupt=true."
            ) from error

    @cached_property
    def unreadable(self) -> dict[int, str]:
        """Find all unreadable images, with the reason, by decoding the whole split in threads."""
        threads = os.cpu_count() or 1
        bar = tqdm(total=len(self), desc=f"Checking {self.source}", unit="images", disable=None, leave=False)
        found: dict[int, str] = {}
        with bar, ThreadPoolExecutor(threads) as pool:
            blocks = np.split(np.arange(len(self)), range(BLOCK, len(self), BLOCK))
            for block, reasons in zip(blocks, pool.map(self._check, blocks), strict=True):
                found |= reasons
                bar.update(len(block))
        return found

    def readable(self) -> Self:
        """Return the split without its unreadable images, and log how many were left out.

        Raises:
            UserError: If no image is left.
        """
        if not self.unreadable:
            return self
        if len(self.unreadable) == len(self):
            raise UserError(f"None of the {len(self):,} images of {self.source} can be read.")
        logger.warning(
            "%d of %d images of %s cannot be read and are left out: %s",
            len(self.unreadable), len(self), self.source, self._listing(self.unreadable),
        )  # fmt: skip
        rows = np.delete(self.rows, list(self.unreadable))
        return type(self)(self.images, self.all_labels, self.source, self.class_names, rows)

    def tell_rotations(self) -> None:
        """Log how many of a few sampled images carry a rotation flag, which is ignored."""
        sampled = np.sort(random_order(np.arange(len(self)), SAMPLE_STREAM)[:ROTATION_SAMPLE])
        rotated = sum(is_rotated(self._bytes(int(row))) for row in sampled)
        if rotated:
            logger.info(
                "%d of %d sampled images of %s carry a rotation flag (EXIF); they are read as stored, as timm and "
                "torchvision read them", rotated, len(sampled), self.source,
            )  # fmt: skip

    def _check(self, rows: IntArray) -> dict[int, str]:
        return dict(self._failures(rows))

    def _failures(self, rows: IntArray) -> Iterator[tuple[int, str]]:
        for row in rows.tolist():
            try:
                decode(self.images.read(int(self.rows[row])))
            except DecodeError as error:
                yield row, str(error)

    def _listing(self, unreadable: dict[int, str]) -> str:
        listed = [f"{self._place(row)} ({reason})" for row, reason in list(unreadable.items())[:LISTED]]
        return ", ".join(listed) + (", ..." if len(unreadable) > LISTED else "")

    def _place(self, row: int) -> str:
        return self.images.place(int(self.rows[row]))

    def _bytes(self, row: int) -> bytes:
        try:
            return self.images.read(int(self.rows[row]))
        except DecodeError:
            return b""
