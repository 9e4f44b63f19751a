"""The files of an entry: the numbers in ``logits.bin``, their description in ``entry.json``."""

import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ktlight.errors import UserError
from ktlight.store.key import FORMAT, Key

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
CHECK_BLOCK = 2**24

checked: set[tuple[str, int, int, int]] = set()
"""Files whose bytes this process has verified: that takes half a second per GB, and a sweep reopens entries often."""


class Damaged(UserError):  # noqa: N818
    """An entry is corrupt or does not match its key; the message names it and the reason."""


@dataclass(frozen=True)
class Shape:
    """Size of an entry.

    Attributes:
        rows: Samples.
        columns: Numbers per sample.
        dtype: Name of the torch type.
    """

    rows: int
    columns: int
    dtype: str

    @property
    def row_bytes(self) -> int:
        """Bytes per sample."""
        return self.columns * DTYPES[self.dtype].itemsize

    @property
    def bytes(self) -> int:
        """Bytes of the array."""
        return self.rows * self.row_bytes


@dataclass(frozen=True)
class Entry:
    """The contents of an ``entry.json``, and its folder.

    Attributes:
        folder: Folder of the entry.
        key: What is stored.
        shape: Its size.
        crc32: Checksum of the numbers.
    """

    folder: Path
    key: Key
    shape: Shape
    crc32: int

    @property
    def file(self) -> Path:
        """The numbers."""
        return self.folder / "logits.bin"


def read_entry(folder: Path, key: Key | None = None) -> Entry:
    """Read an entry's description and check it against the file and the expected key.

    Raises:
        Damaged: If it is unreadable, truncated, of another version, or belongs to another model or data set.
    """
    try:
        facts: dict[str, Any] = json.loads((folder / "entry.json").read_text())
        if facts["format"] != FORMAT:
            raise Damaged(f"{folder} was written in format {facts['format']}; this version reads format {FORMAT}")
        entry = Entry(folder, Key(**facts["key"]), Shape(**facts["shape"]), int(facts["crc32"]))
        if entry.key.digest != folder.name or (key is not None and entry.key.digest != key.digest):
            raise Damaged(f"{folder} holds the outputs of something else ({entry.key.model}, view {entry.key.view})")
        size = entry.file.stat().st_size
        if size != entry.shape.bytes:
            raise Damaged(f"{entry.file} has {size} bytes instead of {entry.shape.bytes}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Damaged(f"{folder} cannot be read ({type(error).__name__}: {error})") from error
    return entry


def check_bytes(entry: Entry, *, again: bool = False) -> None:
    """Verify the checksum of an entry, once per process unless ``again``.

    Raises:
        Damaged: If the bytes are not those that were written.
    """
    try:
        status = entry.file.stat()
        identity = (str(entry.file), status.st_ino, status.st_mtime_ns, entry.crc32)
        if identity in checked and not again:
            return
        if checksum(entry.file, status.st_size) != entry.crc32:
            raise Damaged(f"{entry.file} is not what was written there: its checksum differs")
    except OSError as error:
        raise Damaged(f"{entry.file} cannot be read ({error})") from error
    checked.add(identity)


def checksum(file: Path, size: int) -> int:
    """Return the CRC-32 of the first ``size`` bytes of a file."""
    value = 0
    with file.open("rb") as stream:
        while block := stream.read(min(CHECK_BLOCK, size)):
            value = zlib.crc32(block, value)
            size -= len(block)
    return value


def map_file(entry: Entry) -> Tensor:
    """Return the numbers of an entry, memory-mapped ``[rows, columns]`` and read on access.

    Raises:
        Damaged: If the file is gone.
    """
    shape = entry.shape
    try:
        # not shared: writes to the tensor never reach the file
        numbers = torch.from_file(
            str(entry.file), shared=False, size=shape.rows * shape.columns, dtype=DTYPES[shape.dtype]
        )
    except RuntimeError as error:
        raise Damaged(f"{entry.file} cannot be read ({error})") from error
    return numbers.view(shape.rows, shape.columns)


def to_bytes(block: Tensor, shape: Shape, crc32: int) -> tuple[bytes, int]:
    """Return the bytes of some rows, and the running checksum ``crc32`` updated with them."""
    numbers = block.detach().to("cpu", DTYPES[shape.dtype]).contiguous()
    written = numbers.view(torch.uint8).numpy().tobytes()
    return written, zlib.crc32(written, crc32)


def continued(partial: Path, shape: Shape) -> tuple[int, int]:
    """Return the number of valid rows in a partial entry, and their checksum; (0, 0) to start from the beginning."""
    try:
        noted: dict[str, Any] = json.loads((partial / "progress.json").read_text())
        rows, crc32 = int(noted["rows"]), int(noted["crc32"])
        sound = Shape(**noted["shape"]) == shape
        sound = sound and checksum(partial / "logits.bin", rows * shape.row_bytes) == crc32
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return 0, 0
    return (rows, crc32) if sound else (0, 0)


def note(file: Path, facts: dict[str, Any]) -> None:
    """Write a small file atomically."""
    temporary = file.with_suffix(".new")
    temporary.write_text(json.dumps(facts))
    temporary.replace(file)
