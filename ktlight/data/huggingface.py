"""Well-known data sets: from a local folder if given, else from the Hugging Face Hub."""

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktlight.data.columns import ImageColumn, class_names, find_columns, integers
from ktlight.data.dataset import ImageDataset
from ktlight.data.encoded import EncodedTable
from ktlight.data.imagefolder import load_imagefolder
from ktlight.data.parquet import load_parquet
from ktlight.data.splits import encoded_dataset
from ktlight.errors import UserError, shortened
from ktlight.functional.randomness import IntArray

if TYPE_CHECKING:
    import datasets


def load_hub(
    name: str, repository: str, train_split: str, val_split: str, image_key: str, label_key: str
) -> ImageDataset:
    """Return a data set from the Hugging Face Hub (downloaded once, then read from its cache).

    Args:
        name: For messages and records.
        repository: Such as ``uoft-cs/cifar10``.
        train_split: Name of the split to train on.
        val_split: Name of the held-out split.
        image_key: Column of images.
        label_key: Column of labels.

    Raises:
        UserError: If the data set is not available, for example without a network.
    """
    import datasets

    def read(split: str) -> EncodedTable:
        try:
            rows = datasets.load_dataset(repository, split=split)
        except (OSError, datasets.exceptions.DatasetsError) as error:
            raise UserError(
                f"Cannot get {repository} from the Hugging Face Hub: {error}. Where there is no network, or no access "
                "to this data set, give a local copy: data.root=<folder>."
            ) from error
        return hub_table(rows, f"{repository} ({split})", image_key, label_key)

    return encoded_dataset(name, read(train_split), read(val_split))


def hub_table(
    rows: "datasets.Dataset", source: str, image_key: str | None = None, label_key: str | None = None
) -> EncodedTable:
    """Return a split held by a Hugging Face data set: Arrow files mapped into memory.

    Args:
        rows: The rows, in their stored order (not a selection of them).
        source: Where they come from, for messages.
        image_key: Column of images; guessed where exactly one column holds images.
        label_key: Column of labels; guessed where exactly one column holds integers.

    Raises:
        UserError: A column is missing, cannot be guessed or holds something else.
    """
    schema = rows.features.arrow_schema
    image_key, label_key = find_columns(schema, source, image_key, label_key)
    labels = integers(rows.data.column(label_key), source)
    return EncodedTable(HubImages(rows, image_key, source), labels, source, class_names(schema, label_key))


class HubImages:
    """The images of a Hugging Face data set.

    Args:
        rows: The data set.
        column: Of images.
        source: Where they come from, for messages.
    """

    def __init__(self, rows: "datasets.Dataset", column: str, source: str) -> None:
        self.rows = rows  # which another process maps from the files again, and not the column
        self.column = column
        self.source = source

    @cached_property
    def sizes(self) -> IntArray:
        """Number of bytes of each image, ``int64 [n]``; -1 where there is none."""
        return self._images.sizes

    def __len__(self) -> int:
        return len(self.rows)

    def __getstate__(self) -> dict[str, Any]:
        return {"rows": self.rows, "column": self.column, "source": self.source}

    def read(self, row: int) -> bytes:
        """Return one encoded image.

        Raises:
            DecodeError: There is none.
        """
        return self._images.read(row)

    def place(self, row: int) -> str:
        """Return the row of an image, and its own file if it is not in the column."""
        path = self._images.path(row)
        return f"{path} (row {row} of {self.source})" if path else f"row {row} of {self.source}"

    @cached_property
    def _images(self) -> ImageColumn:
        return ImageColumn(self.rows.data.column(self.column))


def load_cifar(name: str, repository: str, label_key: str, num_classes: int, root: str | None = None) -> ImageDataset:
    """Return CIFAR-10 or CIFAR-100 in the Hub's layout (columns ``img`` and ``label_key``).

    Args:
        name: For messages and records.
        repository: On the Hub, used without ``root``.
        label_key: Column of labels.
        num_classes: 10 or 100.
        root: Local folder with ``*train*.parquet`` and ``*test*.parquet``.

    Raises:
        UserError: Neither the folder's files nor the Hub can be read.
    """
    if root is None:
        return load_hub(name, repository, "train", "test", "img", label_key)
    train, val = (str(Path(root) / f"*{split}*.parquet") for split in ("train", "test"))
    return load_parquet(train, val, "img", label_key, num_classes, name)


def load_imagenet(name: str, repository: str, root: str | None = None) -> ImageDataset:
    """Return ImageNet-1k, its 1,000 classes in the standard order (sorted WordNet ids).

    Args:
        name: For messages and records.
        repository: On the Hub, used without ``root``.
        root: Local folder with ``train/`` and ``val/`` (or only ``val/``), each with 1,000 class folders.

    Raises:
        UserError: Neither the folders nor the Hub can be read, or the folders are not ImageNet's 1,000 classes.
    """
    if root is None:
        return replace(load_hub(name, repository, "train", "validation", "image", "label"), wnids=imagenet_wnids())
    dataset = load_imagefolder(root, name=name)
    other = "For other classes use data=imagefolder."
    if dataset.num_classes != 1000:
        raise UserError(
            f"{root} has {dataset.num_classes} class folders, but ImageNet has 1000, in whose order its models answer. "
            f"{other}"
        )
    foreign = sorted(set(dataset.class_names) - set(imagenet_wnids()))
    if foreign:
        raise UserError(
            f"{root} has class folders that are none of ImageNet-1k's WordNet ids (n01440764 ...), in whose order its "
            f"models answer: {shortened(foreign)}. {other}"
        )
    return replace(dataset, wnids=dataset.class_names)


def imagenet_wnids() -> tuple[str, ...]:
    """Return the WordNet ids of ImageNet-1k's classes in their standard order."""
    from timm.data.imagenet_info import ImageNetInfo  # seconds to import

    return tuple(ImageNetInfo("imagenet-1k").label_names())  # type: ignore[no-untyped-call]
