"""Data sets in folders: one folder per class, one file per image."""

from pathlib import Path

from ktlight.data.arrow import ArrowTable, arrow_dataset
from ktlight.data.dataset import ImageDataset
from ktlight.errors import UserError

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".gif")


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
    return arrow_dataset(name, read_folder(train) if train else None, read_folder(val))


def read_folder(folder: str) -> ArrowTable:
    """Return the split held by a folder of class folders.

    Classes are the sorted folder names and rows go by class, then by sorted path, as in torchvision's ``ImageFolder``.
    The paths are listed here and not by ``datasets``' own image-folder reader, which guesses splits from names (a class
    called ``test``), numbers the classes of both splits together and promises no order.

    Raises:
        UserError: The folder is missing, or one of its class folders holds no image.
    """
    import datasets

    path = Path(folder).expanduser()
    if not path.is_dir():
        raise UserError(f"No folder {folder!r}, seen from {Path.cwd()}. It must hold one folder of images per class.")
    class_folders = sorted(child for child in path.iterdir() if child.is_dir() and not child.name.startswith("."))
    if not class_folders:
        raise UserError(f"The folder {folder} holds no class folders: it must hold one folder of images per class.")
    paths: list[str] = []
    labels: list[int] = []
    for label, class_folder in enumerate(class_folders):
        found = sorted(str(file) for file in class_folder.rglob("*") if file.suffix.lower() in EXTENSIONS)
        if not found:
            raise UserError(f"The class folder {class_folder} holds no image ({', '.join(EXTENSIONS)}).")
        paths += found
        labels += [label] * len(found)
    names = datasets.ClassLabel(names=[class_folder.name for class_folder in class_folders])
    features = datasets.Features({"image": datasets.Image(decode=False), "label": names})
    return ArrowTable(datasets.Dataset.from_dict({"image": paths, "label": labels}, features=features), folder)
