"""The data set type: two tables of undecoded images, and class names."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from statistics import median_low
from typing import Protocol

import numpy as np
from torch import Tensor

from ktlight.errors import UserError
from ktlight.functional.randomness import SAMPLE_STREAM, IntArray, random_order

FINGERPRINT_BYTES = 2**28
NATIVE_SIZE_IMAGES = 16


class ImageTable(Protocol):
    """One split: all labels in memory, images read one by one.

    Attributes:
        labels: ``int64 [n]``.
        repeatable: Whether ``image(row)`` gives the same pixels every time; only then may they be kept in memory.
    """

    labels: IntArray
    repeatable: bool

    @property
    def fingerprint(self) -> str:
        """Identity of the content, the same on every machine; see :func:`content_fingerprint`."""

    def __len__(self) -> int: ...

    def image(self, row: int) -> Tensor:
        """Return one decoded image, ``uint8 [3, h, w]`` RGB.

        Raises:
            UserError: If the image cannot be read; the message names the file or row.
        """


@dataclass(frozen=True)
class ImageDataset:
    """A labelled image data set, as returned by the functions named in ``conf/data/*.yaml``.

    Attributes:
        name: For messages and records.
        train: The training split; ``None`` for evaluation only.
        val: The held-out split on which all reported figures are measured.
        class_names: In the order of the labels; numbers if the data have no names.
        wnids: The WordNet id of each class, if known.
        counted: Whether the number of classes was inferred: one more than the largest label.

    Raises:
        UserError: If a split is empty, or a label is not one of the classes; the message names the row.
    """

    name: str
    train: ImageTable | None
    val: ImageTable
    class_names: tuple[str, ...]
    wnids: tuple[str, ...] | None = None
    counted: bool = False

    def __post_init__(self) -> None:
        for split, table in (("training", self.train), ("validation", self.val)):
            if table is not None:
                self._check(split, table)

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def has_names(self) -> bool:
        """Whether the classes have names, other than their numbers."""
        return self.class_names != numbered_classes(self.num_classes)

    @cached_property
    def identity(self) -> str:
        """Hash of both splits' content; the key under which models trained on this data are kept."""
        tables = [table.fingerprint for table in (self.train, self.val) if table is not None]
        return hashlib.sha256(" ".join(tables).encode()).hexdigest()

    @cached_property
    def native_size(self) -> int:
        """Short side of the images in pixels: the median over the first 16 of the training (else validation) split."""
        table = self.val if self.train is None else self.train
        return median_low(min(table.image(row).shape[-2:]) for row in range(min(len(table), NATIVE_SIZE_IMAGES)))

    def _check(self, split: str, table: ImageTable) -> None:
        if not len(table):
            raise UserError(f"The {split} split of {self.name} is empty: give files or folders that hold images.")
        wrong = np.flatnonzero((table.labels < 0) | (table.labels >= self.num_classes))
        if len(wrong):
            raise UserError(
                f"Row {wrong[0]} of the {split} split of {self.name} has the label {table.labels[wrong[0]]}, but with "
                f"{self.num_classes} classes labels go from 0 to {self.num_classes - 1} ({len(wrong)} such rows). "
                "Fix the labels or the number of classes."
            )


def numbered_classes(count: int) -> tuple[str, ...]:
    """Return the names of classes that have none: their numbers."""
    return tuple(str(number) for number in range(count))


def content_fingerprint(labels: IntArray, sizes: IntArray, read: Callable[[int], bytes]) -> str:
    """Return a hash that changes when the number of rows, a label or an image changes.

    It covers all labels and the size in bytes of every image, and every byte of a split of at most 256 MiB. For a
    larger split it covers only a fixed random sample of rows of that total size, since reading all of ImageNet would
    take longer than many runs; it can miss images there that are replaced by others of exactly the same size.

    Args:
        labels: ``int64 [n]``.
        sizes: Number of bytes of each encoded image, ``int64 [n]``.
        read: Returns the encoded image of a row.
    """
    digest = hashlib.sha256(labels.astype("<i8").tobytes())
    digest.update(sizes.astype("<i8").tobytes())
    rows = np.arange(len(labels))
    if sizes.sum() > FINGERPRINT_BYTES:
        order = random_order(rows, SAMPLE_STREAM)
        rows = np.sort(order[: 1 + np.searchsorted(sizes[order].cumsum(), FINGERPRINT_BYTES)])
    for row in rows.tolist():
        digest.update(read(row))
    return digest.hexdigest()
