"""Data sets in parquet files: a column of encoded images and one of integer labels."""

from collections.abc import Sequence
from glob import glob
from pathlib import Path

from ktlight.data.arrow import ArrowTable, arrow_dataset
from ktlight.data.dataset import ImageDataset
from ktlight.errors import UserError


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
    return arrow_dataset(name, train_table, read_parquet(val, image_key, label_key), num_classes)


def read_parquet(patterns: str | Sequence[str], image_key: str | None, label_key: str | None) -> ArrowTable:
    """Return the split held by parquet files, in the order of the patterns and of the sorted names that fit each.

    Hugging Face ``datasets`` keeps an Arrow copy of the files under its cache folder and maps that into memory.

    Raises:
        UserError: A file is missing or cannot be read, there are no rows, or a column is missing.
    """
    import datasets

    files = _files([patterns] if isinstance(patterns, str) else patterns)
    source = files[0] if len(files) == 1 else f"{files[0]} and {len(files) - 1} more files"
    filled = [file for file in files if _count_rows(file)]
    if not filled:
        raise UserError(f"There are no rows in {source}: a split cannot be empty.")
    try:
        rows = datasets.load_dataset("parquet", data_files={"rows": filled}, split="rows")
    except datasets.exceptions.DatasetsError as error:
        reason = error.__cause__ or error
        raise UserError(f"Cannot read {source} as parquet: {reason} Check that the files are whole.") from error
    return ArrowTable(rows, source, image_key, label_key)


def _count_rows(file: str) -> int:
    import pyarrow
    from pyarrow import parquet

    try:
        return int(parquet.read_metadata(file).num_rows)
    except (OSError, pyarrow.ArrowException) as error:
        raise UserError(f"Cannot read {file} as parquet: {error} Check that the file is whole.") from error


def _files(patterns: Sequence[str]) -> list[str]:
    files = []
    for pattern in patterns:
        expanded = str(Path(pattern).expanduser())
        found = [expanded] if Path(expanded).is_file() else sorted(glob(expanded, recursive=True))  # noqa: PTH207
        found = [file for file in found if Path(file).is_file()]
        if not found:
            raise UserError(
                f"No file {pattern!r}, seen from {Path.cwd()}. Check data.root= (or data.train=, data.val=)."
            )
        files += found
    return files
