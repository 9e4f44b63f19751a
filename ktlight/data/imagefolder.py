"""Data sets in folders: one folder per class, one file per image."""

import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from ktlight.data.dataset import ImageDataset
from ktlight.data.encoded import EncodedTable
from ktlight.data.files import file_size, read_file
from ktlight.data.splits import encoded_dataset
from ktlight.errors import NotThere, UserError
from ktlight.functional.randomness import IntArray

logger = logging.getLogger(__name__)

EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")  # torchvision's


def load_imagefolder(
    root: str | None = None, train: str | None = None, val: str | None = None, name: str = "imagefolder"
) -> ImageDataset:
    """Return a data set of class folders.

    Args:
        root: Folder with ``train/`` and ``val/``, each with one folder per class. Without ``train/``, evaluation only.
        train: The training folder, in place of ``root/train``.
        val: The held-out folder, in place of ``root/val``.
        name: For messages and records.

    Raises:
        UserError: A folder is missing or holds no images, or the two have different classes.
    """
    if root is not None:
        folder = Path(root).expanduser()
        val = val or str(folder / "val")
        if train is None and (folder / "train").is_dir():
            train = str(folder / "train")
    if val is None:
        raise UserError(f"data={name} needs data.root= (a folder with train/ and val/) or data.train= and data.val=.")
    return encoded_dataset(name, read_folder(train) if train else None, read_folder(val))


def read_folder(folder: str) -> EncodedTable:
    """Return the split held by a folder of class folders: the rows of torchvision's ``ImageFolder``, in its order.

    Classes are the sorted folder names; within a class, folders are sorted by path and files by name. Symbolic links
    are followed. Class folders whose names start with a dot are left out, since programs create them. Files without an
    image extension are counted in a message.

    Raises:
        UserError: If the folder is missing, or one of its class folders holds no image.
    """
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise NotThere(f"No folder {folder!r}, seen from {Path.cwd()}. It must hold one folder of images per class.")
    classes = sorted(child.name for child in path.iterdir() if child.is_dir() and not child.name.startswith("."))
    if not classes:
        raise UserError(f"The folder {folder} holds no class folders: it must hold one folder of images per class.")
    paths: list[str] = []
    labels: list[int] = []
    others: Counter[str] = Counter()
    for label, name in enumerate(classes):
        files = list(walk(str(path / name)))
        found = [file for file in files if file.lower().endswith(EXTENSIONS)]
        if not found:
            raise UserError(f"The class folder {path / name} holds no image ({', '.join(EXTENSIONS)}).")
        others.update(Path(file).suffix or "without extension" for file in set(files) - set(found))
        paths += found
        labels += [label] * len(found)
    if others:
        kinds = ", ".join(f"{count} {kind}" for kind, count in others.most_common())
        logger.info("left out of %s, no images by their names: %s", folder, kinds)
    return EncodedTable(ImageFiles(paths), np.array(labels, np.int64), folder, tuple(classes))


def walk(folder: str) -> Iterator[str]:
    """Yield the files below a folder in torchvision's order, following links except cyclic ones."""
    for path, names in sorted(_folders(folder, ())):
        yield from (os.path.join(path, name) for name in names)  # noqa: PTH118


def _folders(folder: str, above: tuple[str, ...]) -> Iterator[tuple[str, list[str]]]:
    """Yield each folder with the sorted names of its files; ``above`` are the real paths of those it lies in."""
    real = os.path.realpath(folder)
    if real in above:
        return
    with os.scandir(folder) as entries:
        inside = list(entries)
    yield folder, sorted(entry.name for entry in inside if not entry.is_dir())
    for entry in inside:
        if entry.is_dir():
            yield from _folders(entry.path, (*above, real))


class ImageFiles:
    """Images that are files.

    Args:
        paths: Where they are.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths = np.array([os.fsencode(path) for path in paths])  # one block that worker processes share

    @cached_property
    def sizes(self) -> IntArray:
        """Number of bytes of each image, ``int64 [n]``; -1 where there is none."""
        return np.fromiter((file_size(os.fsdecode(path)) for path in self.paths), np.int64, len(self.paths))

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, row: int) -> bytes:
        """Return one encoded image.

        Raises:
            DecodeError: There is none.
        """
        return read_file(self.place(row))

    def place(self, row: int) -> str:
        """Return the path of an image."""
        return os.fsdecode(self.paths[row])
