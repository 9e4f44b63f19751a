"""Data sets in parquet files: a column of encoded images and one of integer labels."""

import logging
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from ktlight.data.columns import ImageColumn, class_names, find_columns, integers
from ktlight.data.dataset import ImageDataset
from ktlight.data.encoded import EncodedTable
from ktlight.data.files import find_files
from ktlight.data.recent import RecentlyUsed
from ktlight.data.splits import encoded_dataset
from ktlight.errors import UserError
from ktlight.functional.randomness import IntArray

logger = logging.getLogger(__name__)

WHOLE_BUDGET = 2**30
PART_BUDGET = 2**27
BATCH = 256


def load_parquet(
    train: str | Sequence[str] | None,
    val: str | Sequence[str] | None,
    image_key: str | None = None,
    label_key: str | None = None,
    num_classes: int | None = None,
    name: str = "parquet",
) -> ImageDataset:
    """Return a data set of local parquet files.

    Args:
        train: One or more files or patterns such as ``shards/train-*.parquet``; ``None`` for evaluation only.
        val: Likewise, the held-out images.
        image_key: Column of images; may be left out where exactly one column holds images.
        label_key: Column of labels; may be left out where exactly one column holds integers.
        num_classes: By default the number of named classes (a ``ClassLabel``), else one more than the largest label.
        name: For messages and records.

    Raises:
        UserError: A file or column is missing, a split is empty, or a label is out of range.
    """
    if not val:
        raise UserError(
            f"data={name} needs its held-out images: give data.val= (and data.train= unless task=evaluate)."
        )
    train_table = read_parquet(train, image_key, label_key) if train else None
    return encoded_dataset(name, train_table, read_parquet(val, image_key, label_key), num_classes)


def read_parquet(
    patterns: str | Sequence[str], image_key: str | None = None, label_key: str | None = None
) -> EncodedTable:
    """Return the split held by parquet files, in the order of the patterns and of the sorted names that fit each.

    A name that exists is that file, also with brackets in it; else it is a pattern.

    Raises:
        UserError: A file is missing or cannot be read, there are no rows, or a column is missing.
    """
    found = find_files([patterns] if isinstance(patterns, str) else patterns)
    source = found[0] if len(found) == 1 else f"{found[0]} and {len(found) - 1} more files"
    files = [file for file in map(ParquetFile.open, found) if file.metadata.num_rows]
    if not files:
        raise UserError(f"There are no rows in {source}: a split cannot be empty.")
    image_key, label_key = find_columns(files[0].schema, source, image_key, label_key)
    for file in files[1:]:
        find_columns(file.schema, file.path, image_key, label_key)
    named = {class_names(file.schema, label_key): file.path for file in files}
    if len(named) > 1:
        raise UserError(f"The class names written in {' and '.join(list(named.values())[:2])} differ.")
    labels = np.concatenate([integers(file.column(label_key), file.path) for file in files])
    return EncodedTable(ParquetImages(files, image_key), labels, source, next(iter(named)))


class ParquetFile(NamedTuple):
    """A parquet file, its footer read.

    Attributes:
        path: Where it is.
        metadata: Its footer.
    """

    path: str
    metadata: parquet.FileMetaData

    @classmethod
    def open(cls, path: str) -> "ParquetFile":
        """Read the footer.

        Raises:
            UserError: The file cannot be read.
        """
        try:
            return cls(path, parquet.read_metadata(path, memory_map=True))
        except (OSError, pa.ArrowException) as error:
            raise _broken(path, error) from error

    @property
    def schema(self) -> pa.Schema:
        """Names and types of its columns."""
        return self.metadata.schema.to_arrow_schema()

    def column(self, name: str, groups: Sequence[int] | None = None) -> pa.ChunkedArray:
        """Return a column, of all row groups or some.

        It is read in batches, because a struct of more than 2 GiB cannot be read at once.

        Raises:
            UserError: The file cannot be read.
        """
        kind = self.schema.field(name).type
        try:
            with parquet.ParquetFile(self.path, metadata=self.metadata, memory_map=True) as file:
                batches = file.iter_batches(BATCH, groups, columns=[name], use_threads=False)
                return pa.chunked_array([batch.column(name) for batch in batches], kind)
        except (OSError, pa.ArrowException) as error:
            raise _broken(self.path, error) from error


class ParquetImages:
    """The images of parquet files, still encoded. Nothing is copied to disk.

    Up to 1 GiB stays in memory after the first read, shared with worker processes forked later. Beyond that, each
    process keeps the 128 MiB of row groups read last. A row group is the smallest unit that can be read, so small ones
    make random access fast.

    Args:
        files: The files, none of them empty.
        column: Of images.
    """

    def __init__(self, files: Sequence[ParquetFile], column: str) -> None:
        self.files = files
        self.column = column
        self.groups = [
            (number, group) for number, file in enumerate(files) for group in range(file.metadata.num_row_groups)
        ]
        rows = [files[file].metadata.row_group(group).num_rows for file, group in self.groups]
        self.starts: IntArray = np.cumsum([0, *rows])
        sizes = [files[file].metadata.row_group(group).total_byte_size for file, group in self.groups]
        fits = sum(sizes) <= WHOLE_BUDGET
        self._recent = RecentlyUsed(self._load, _size, WHOLE_BUDGET if fits else PART_BUDGET)
        if not fits:
            logger.info(
                "%s: %.1f GB do not stay in memory, and for one image its row group of up to %.0f MB is read; smaller "
                "ones (row_group_size=100) or an image folder are faster",
                files[0].path, sum(sizes) / 1e9, max(sizes) / 1e6,
            )  # fmt: skip

    @cached_property
    def sizes(self) -> IntArray:
        """Number of bytes of each image, ``int64 [n]``; -1 where there is none."""
        return np.concatenate([self._recent[group].sizes for group in range(len(self.groups))])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def read(self, row: int) -> bytes:
        """Return one encoded image.

        Raises:
            DecodeError: There is none.
        """
        group = self._group_of(row)
        return self._recent[group].read(row - int(self.starts[group]))

    def place(self, row: int) -> str:
        """Return the file and row of an image, and its own file if it is not in the column."""
        group = self._group_of(row)
        file, _ = self.groups[group]
        first = next(start for (other, _), start in zip(self.groups, self.starts, strict=False) if other == file)
        path = self._recent[group].path(row - int(self.starts[group]))
        place = f"row {row - first} of {self.files[file].path}"
        return f"{path} ({place})" if path else place

    def _group_of(self, row: int) -> int:
        return int(np.searchsorted(self.starts, row, "right")) - 1

    def _load(self, group: int) -> ImageColumn:
        file, number = self.groups[group]
        return ImageColumn(self.files[file].column(self.column, [number]))


def _size(column: ImageColumn) -> int:
    return column.nbytes


def _broken(path: str, error: Exception) -> UserError:
    return UserError(f"Cannot read {path} as parquet: {error} Check that the file is whole.")
