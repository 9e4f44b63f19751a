"""Tables over Hugging Face ``datasets``: Arrow files mapped into memory, images decoded only when asked for."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from ktlight.data.dataset import ImageDataset, content_fingerprint, numbered_classes
from ktlight.data.decoding import DecodeError, decode
from ktlight.errors import UserError, nearest
from ktlight.functional.randomness import IntArray

if TYPE_CHECKING:
    import datasets


class ArrowTable:
    """A split held by a Hugging Face data set.

    Args:
        dataset: The rows, in their stored order (not a selection of them).
        source: Where they come from, for messages.
        image_key: Column of encoded images or their paths; guessed where exactly one column holds images.
        label_key: Column of integer labels; guessed where exactly one column holds integers.

    Attributes:
        class_names: In the order of the labels, where the data set knows them.

    Raises:
        UserError: A column is missing, cannot be guessed or holds something else.
    """

    repeatable = True

    def __init__(
        self, dataset: "datasets.Dataset", source: str, image_key: str | None = None, label_key: str | None = None
    ) -> None:
        import datasets

        self.source = source
        self.image_key = _column(dataset, source, image_key, "image", _holds_images)
        label_key = _column(dataset, source, label_key, "label", _holds_integers)
        self.dataset = dataset.cast_column(self.image_key, datasets.Image(decode=False))
        self.labels: IntArray = _integers(dataset, source, label_key)
        feature = dataset.features[label_key]
        self.class_names = tuple(feature.names) if isinstance(feature, datasets.ClassLabel) else None

    @cached_property
    def fingerprint(self) -> str:
        """Identity of the content."""
        return content_fingerprint(self.labels, lambda row: self._encoded(row)[0])

    def __len__(self) -> int:
        return len(self.labels)

    def image(self, row: int) -> Tensor:
        """Return one decoded image, ``uint8 [3, h, w]`` RGB.

        Raises:
            UserError: The image is missing or corrupt.
        """
        encoded, place = self._encoded(row)
        try:
            return decode(encoded)
        except DecodeError as error:
            raise UserError(f"Cannot decode the image in {place}: {error}. Replace or remove it.") from error

    def _encoded(self, row: int) -> tuple[bytes, str]:
        """Return the encoded image and where it is."""
        place = f"row {row} of {self.source}"
        image: dict[str, Any] | None = self.dataset.data.column(self.image_key)[row].as_py()
        if image is None or (image["bytes"] is None and image["path"] is None):
            raise UserError(f"There is no image in {place}. Remove the row.")
        if image["bytes"] is not None:
            return image["bytes"], place
        try:
            return Path(image["path"]).read_bytes(), f"{image['path']} ({place})"
        except OSError as error:
            raise UserError(f"Cannot read the image in {place}: {error}.") from error


def arrow_dataset(name: str, train: ArrowTable | None, val: ArrowTable, num_classes: int | None = None) -> ImageDataset:
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
        raise UserError(f"The classes of {tables[0].source} and {val.source} differ: {_difference(*named)}.")
    if num_classes is None:
        num_classes = len(named[0]) if named else 1 + max(int(table.labels.max(initial=-1)) for table in tables)
    names = named[0] if named and len(named[0]) == num_classes else numbered_classes(num_classes)
    return ImageDataset(name, train, val, names)


def _difference(train: tuple[str, ...], val: tuple[str, ...]) -> str:
    only = {"first": sorted(set(train) - set(val)), "second": sorted(set(val) - set(train))}
    parts = [
        f"only the {which} has {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}"
        for which, names in only.items()
        if names
    ]
    return "; ".join(parts) or "the same names in another order"


def _column(dataset: "datasets.Dataset", source: str, key: str | None, kind: str, fits: Callable[[Any], bool]) -> str:
    """Return the column to use, checked, or the only one that fits."""
    columns = ", ".join(f"{name} ({_type_name(feature)})" for name, feature in dataset.features.items())
    if key is not None and key not in dataset.features:
        hint = nearest(key, dataset.features)
        raise UserError(f"{source} has no column {key!r}; it has {columns}.{hint} Give data.{kind}_key=.")
    fitting = [name for name, feature in dataset.features.items() if fits(feature) and key in (None, name)]
    if len(fitting) != 1:
        asked = (
            f"the column {key!r} of {source} does not hold {kind}s" if key else f"cannot tell {source}'s {kind} column"
        )
        raise UserError(f"{asked[0].upper()}{asked[1:]}; it has {columns}. Give data.{kind}_key=.")
    return str(fitting[0])


def _holds_images(feature: Any) -> bool:
    import datasets

    if isinstance(feature, dict):
        return set(feature) == {"bytes", "path"}
    return isinstance(feature, datasets.Image) or getattr(feature, "dtype", None) in ("binary", "large_binary")


def _holds_integers(feature: Any) -> bool:
    import datasets

    return isinstance(feature, datasets.ClassLabel | datasets.Value) and "int" in feature.dtype


def _type_name(feature: Any) -> str:
    if _holds_images(feature):
        return "images"
    return str(getattr(feature, "dtype", type(feature).__name__))


def _integers(dataset: "datasets.Dataset", source: str, key: str) -> IntArray:
    column = dataset.data.column(key)
    if column.null_count:
        row = int(np.flatnonzero(column.is_null().to_numpy())[0])
        raise UserError(f"Row {row} of {source} has no label. Remove the row or give it one.")
    return np.array(column.to_numpy(), np.int64)
