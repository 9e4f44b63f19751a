"""Data sets made of two splits of encoded images."""

from dataclasses import replace

from ktlight.data.classes import difference
from ktlight.data.dataset import ImageDataset, numbered_classes
from ktlight.data.encoded import EncodedTable
from ktlight.errors import UserError


def encoded_dataset(
    name: str, train: EncodedTable | None, val: EncodedTable, num_classes: int | None = None
) -> ImageDataset:
    """Combine two splits into a data set.

    Args:
        name: For messages and records.
        train: The training split, or ``None``.
        val: The held-out split.
        num_classes: By default the number of named classes, else one more than the largest label.

    Raises:
        UserError: The splits have different classes, a split is empty or a label is out of range.
    """
    tables = [table for table in (train, val) if table is not None]
    named = [table.class_names for table in tables if table.class_names is not None]
    if len(set(named)) > 1:
        raise UserError(f"The classes of {tables[0].source} and {val.source} differ: {difference(named[0], named[1])}.")
    counted = num_classes is None and not named
    if num_classes is None:
        num_classes = len(named[0]) if named else 1 + max(int(table.labels.max(initial=-1)) for table in tables)
    names = named[0] if named and len(named[0]) == num_classes else numbered_classes(num_classes)
    dataset = ImageDataset(name, train, val, names, counted=counted)
    for table in tables:
        table.tell_rotations()
    return dataset


def without_corrupt(dataset: ImageDataset) -> ImageDataset:
    """Return the data set without unreadable images, which gives it a new identity.

    Raises:
        UserError: If no image of a split can be read, or images are a user's own Python objects.
    """
    if any(not table.repeatable for table in (dataset.train, dataset.val) if table is not None):
        raise UserError(
            f"data.skip_corrupt=true: the images of {dataset.name} are read by your own code; skip them there."
        )
    train, val = (
        table.readable() if isinstance(table, EncodedTable) else table for table in (dataset.train, dataset.val)
    )
    assert val is not None
    return replace(dataset, train=train, val=val)
