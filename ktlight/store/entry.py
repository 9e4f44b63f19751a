"""The files of an entry: ``logits.bin``, the numbers, and ``entry.json``, what they are."""

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
"""The files whose bytes this process has checked: it takes half a second a GB, and a sweep opens an entry often."""


class Damaged(UserError):  # noqa: N818  (says what the entry is)
    """An entry is not what it should be; the message names it and says why."""


@dataclass(frozen=True)
class Shape:
    """Size of an entry.

    Attributes:
        rows: Samples.
        columns: Numbers a sample.
        dtype: Name of the torch type.
    """

    rows: int
    columns: int
    dtype: str

    @property
    def row_bytes(self) -> int:
        """Bytes a sample."""
        return self.columns * DTYPES[self.dtype].itemsize

    @property
    def bytes(self) -> int:
        """Bytes of the array."""
        return self.rows * self.row_bytes


@dataclass(frozen=True)
class Entry:
    """What ``entry.json`` says, and where.

    Attributes:
        folder: The entry.
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
    """Return what a folder says it holds, checked against itself and against the key that is wanted.

    Raises:
        Damaged: It is unreadable or truncated, of another version, or another model's or data set's.
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
    """Read the numbers of an entry, unless this process has done so (or ``again``), and compare the checksum.

    Raises:
        Damaged: They are not what was written.
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
    """Return the numbers of an entry, memory-mapped ``[rows, columns]``: they are read when they are looked at.

    Raises:
        Damaged: The file is gone.
    """
    shape = entry.shape
    try:
        # not shared: what a reader might write to its tensor never reaches the file
        numbers = torch.from_file(
            str(entry.file), shared=False, size=shape.rows * shape.columns, dtype=DTYPES[shape.dtype]
        )
    except RuntimeError as error:
        raise Damaged(f"{entry.file} cannot be read ({error})") from error
    return numbers.view(shape.rows, shape.columns)


def to_bytes(block: Tensor, shape: Shape, crc32: int) -> tuple[bytes, int]:
    """Return the bytes of some rows, and the checksum of the numbers so far, which was ``crc32``, with them."""
    numbers = block.detach().to("cpu", DTYPES[shape.dtype]).contiguous()
    written = numbers.view(torch.uint8).numpy().tobytes()
    return written, zlib.crc32(written, crc32)


def continued(partial: Path, shape: Shape) -> tuple[int, int]:
    """Return how many rows of a partial entry are there and sound, and their checksum; (0, 0) if it is to begin."""
    try:
        noted: dict[str, Any] = json.loads((partial / "progress.json").read_text())
        rows, crc32 = int(noted["rows"]), int(noted["crc32"])
        sound = Shape(**noted["shape"]) == shape
        sound = sound and checksum(partial / "logits.bin", rows * shape.row_bytes) == crc32
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return 0, 0
    return (rows, crc32) if sound else (0, 0)


def note(file: Path, facts: dict[str, Any]) -> None:
    """Write a small file at once."""
    temporary = file.with_suffix(".new")
    temporary.write_text(json.dumps(facts))
    temporary.replace(file)
