"""Image and label columns of an Arrow table: choosing and reading them."""

import json
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktlight.data.decoding import DecodeError
from ktlight.data.files import file_size, read_file
from ktlight.errors import UserError, nearest
from ktlight.functional.randomness import IntArray


def find_columns(
    schema: pa.Schema, source: str, image_key: str | None = None, label_key: str | None = None
) -> tuple[str, str]:
    """Return the names of the columns of images and of labels.

    Args:
        schema: Schema of the table.
        source: Origin of the table, for messages.
        image_key: Column of encoded images (bytes, or Hugging Face's struct of ``bytes`` and ``path``); optional if
            exactly one column holds images.
        label_key: Column of integer labels; optional if exactly one column holds integers.

    Raises:
        UserError: If a column is missing, cannot be guessed or has the wrong type.
    """
    image = _find(schema, source, image_key, "image", holds_images)
    return image, _find(schema, source, label_key, "label", pa.types.is_integer)


def holds_images(kind: pa.DataType) -> bool:
    """Whether a column of this type holds encoded images."""
    if pa.types.is_struct(kind):
        return {field.name for field in kind} == {"bytes", "path"}
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def class_names(schema: pa.Schema, label_key: str) -> tuple[str, ...] | None:
    """Return the class names in a schema written by Hugging Face (a ``ClassLabel``), if any."""
    try:
        written = json.loads((schema.metadata or {})[b"huggingface"])
        return tuple(map(str, written["info"]["features"][label_key]["names"]))
    except (KeyError, TypeError, ValueError):
        return None


def integers(column: pa.ChunkedArray, source: str, first: int = 0) -> IntArray:
    """Return a column of labels, ``int64 [n]``; its rows are counted from ``first`` in messages.

    Raises:
        UserError: If a label is missing.
    """
    if column.null_count:
        row = first + int(np.flatnonzero(column.is_null().to_numpy())[0])
        raise UserError(f"Row {row} of {source} has no label. Remove the row or give it one.")
    return np.array(column.to_numpy(), np.int64)


def _find(schema: pa.Schema, source: str, key: str | None, kind: str, fits: Callable[[pa.DataType], bool]) -> str:
    """Return the column to use, checked, or the only one that fits."""
    columns = ", ".join(f"{field.name} ({_type_name(field.type)})" for field in schema)
    if key is not None and key not in schema.names:
        hint = nearest(key, schema.names)
        raise UserError(f"{source} has no column {key!r}; it has {columns}.{hint} Give data.{kind}_key=.")
    fitting = [field.name for field in schema if fits(field.type) and key in (None, field.name)]
    if len(fitting) != 1:
        asked = (
            f"the column {key!r} of {source} does not hold {kind}s" if key else f"cannot tell {source}'s {kind} column"
        )
        raise UserError(f"{asked[0].upper()}{asked[1:]}; it has {columns}. Give data.{kind}_key=.")
    return str(fitting[0])


def _type_name(kind: pa.DataType) -> str:
    return "images" if holds_images(kind) else str(kind)


class ImageColumn:
    """Encoded images in an Arrow column: bytes, or Hugging Face's struct of ``bytes`` and ``path``.

    Args:
        column: The column.
    """

    def __init__(self, column: pa.ChunkedArray) -> None:
        self.paths: pa.ChunkedArray | None = None
        self.encoded = column
        self.nbytes = int(column.nbytes)
        if pa.types.is_struct(column.type):
            parts = dict(zip((field.name for field in column.type), column.flatten(), strict=True))
            self.encoded, self.paths = parts["bytes"], parts["path"]

    @property
    def sizes(self) -> IntArray:
        """Number of bytes of each image, ``int64 [n]``; -1 where there is none."""
        sizes: IntArray = np.array(pc.binary_length(self.encoded).fill_null(-1).to_numpy(), np.int64)
        for row in np.flatnonzero(sizes < 0).tolist() if self.paths is not None else ():
            path = self.path(row)
            sizes[row] = -1 if path is None else file_size(path)
        return sizes

    def read(self, row: int) -> bytes:
        """Return one encoded image.

        Raises:
            DecodeError: There is none.
        """
        encoded: bytes | None = self.encoded[row].as_py()
        if encoded is not None:
            return encoded
        path = self.path(row)
        if path is None:
            raise DecodeError("there is no image")
        return read_file(path)

    def path(self, row: int) -> str | None:
        """Return the file that holds an image which is not in the column itself."""
        if self.paths is None or self.encoded[row].is_valid:
            return None
        path: str | None = self.paths[row].as_py()
        return path
