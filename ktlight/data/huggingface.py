"""Well-known data sets: from a local folder where one is given, else from the Hugging Face Hub."""

from pathlib import Path

from ktlight.data.arrow import ArrowTable, arrow_dataset
from ktlight.data.dataset import ImageDataset
from ktlight.data.imagefolder import load_imagefolder
from ktlight.data.parquet import load_parquet
from ktlight.errors import UserError


def load_hub(
    name: str, repository: str, train_split: str, val_split: str, image_key: str, label_key: str
) -> ImageDataset:
    """Return a data set of the Hugging Face Hub (downloaded once, then read from its cache).

    Args:
        name: For messages and records.
        repository: Such as ``uoft-cs/cifar10``.
        train_split: Name of the split to train on.
        val_split: Name of the held-out split.
        image_key: Column of images.
        label_key: Column of labels.

    Raises:
        UserError: The data set cannot be had, for example without a network.
    """
    import datasets

    def read(split: str) -> ArrowTable:
        try:
            rows = datasets.load_dataset(repository, split=split)
        except (OSError, datasets.exceptions.DatasetsError) as error:
            raise UserError(
                f"Cannot get {repository} from the Hugging Face Hub: {error}. Where there is no network, or no access "
                "to this data set, give a local copy: data.root=<folder>."
            ) from error
        return ArrowTable(rows, f"{repository} ({split})", image_key, label_key)

    return arrow_dataset(name, read(train_split), read(val_split))


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
        return load_hub(name, repository, "train", "validation", "image", "label")
    dataset = load_imagefolder(root, name=name)
    if dataset.num_classes != 1000:
        raise UserError(
            f"{root} has {dataset.num_classes} class folders, but ImageNet has 1000, in whose order its models answer. "
            "For other classes use data=imagefolder."
        )
    return dataset
