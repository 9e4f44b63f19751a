"""The store: one memory-mapped array of logits an entry, whole and checked or not there.

A writer holds the entry's lock, which the operating system releases when the writer dies, however it dies. It fills
``<digest>.partial`` in order and notes how far it is, so that the next writer goes on there; the finished folder is
renamed to ``<digest>``. A reader checks that the entry is the one it wants, in this version's format, of the right
size, and that its bytes are those that were written.
"""

import fcntl
import json
import logging
import os
import shutil
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ktlight.cache.key import FORMAT, Key
from ktlight.errors import UserError

logger = logging.getLogger(__name__)

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
CHECK_BLOCK = 2**24


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


class Damaged(UserError):  # noqa: N818  (says what the entry is)
    """An entry is not what it should be; the message names it and says why."""


class LogitStore:
    """The entries below one folder.

    Args:
        root: The folder.
        max_gb: The most that all entries together may take; the least recently used ones make room. None: no limit.
    """

    def __init__(self, root: Path, max_gb: float | None = None) -> None:
        self.root = root
        self.max_bytes = None if max_gb is None else int(max_gb * 1e9)

    def folder(self, key: Key) -> Path:
        """Return where the entry is, or would be."""
        return self.root / key.digest

    def open(self, key: Key) -> Tensor | None:
        """Return the logits of an entry, memory-mapped ``[rows, columns]``, or None if it is not there.

        Raises:
            Damaged: The entry is there, but it is not what was written for this key.
        """
        folder = self.folder(key)
        if not folder.is_dir():
            return None
        shape = check(folder, key)
        if os.access(folder, os.W_OK):
            os.utime(folder / "entry.json")  # the time of last use decides what is pruned first
        return _map(folder / "logits.bin", shape)

    def write(self, key: Key, shape: Shape, blocks: Iterable[Tensor], start: int = 0) -> None:
        """Fill the partial entry from row ``start`` on and let it appear; the caller holds the lock.

        Args:
            key: What the logits are the output of.
            shape: Size of the whole entry.
            blocks: Consecutive rows ``[b, columns]`` from ``start`` to the end.
            start: As returned by `progress`.

        Raises:
            UserError: There is not enough room for the entry; nothing is left of it then.
        """
        partial = self.root / f"{key.digest}.partial"
        partial.mkdir(parents=True, exist_ok=True)
        row = start
        try:
            with (partial / "logits.bin").open("r+b" if start else "wb") as file:
                file.truncate(start * shape.row_bytes)
                file.seek(start * shape.row_bytes)
                for block in blocks:
                    file.write(_bytes(block.to(DTYPES[shape.dtype])))
                    file.flush()
                    row += len(block)
                    _note(partial / "progress.json", {"rows": row, "shape": asdict(shape)})
                os.fsync(file.fileno())
            if row != shape.rows:
                raise ValueError(f"{row} rows were written to an entry of {shape.rows}")
            facts = {"format": FORMAT, "key": asdict(key), "shape": asdict(shape)}
            _note(partial / "entry.json", facts | {"crc32": checksum(partial / "logits.bin"), "made": time.time()})
            (partial / "progress.json").unlink()
            partial.rename(self.folder(key))
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            raise UserError(
                f"the stored outputs of {key.model} could not be written to {self.root} ({error}): make room there, "
                "choose another folder with KTLIGHT_CACHE, or use cache=off"
            ) from error

    def progress(self, key: Key, shape: Shape) -> int:
        """Return how many rows of a partial entry are there already."""
        try:
            noted = json.loads((self.root / f"{key.digest}.partial" / "progress.json").read_text())
        except (FileNotFoundError, ValueError):
            return 0
        return int(noted["rows"]) if noted["shape"] == asdict(shape) else 0

    def make_room(self, needed: int) -> None:
        """Prune what was used least recently until ``needed`` bytes fit, before anything is written.

        Raises:
            UserError: They cannot fit: the limit or the disk is too small.
        """
        if self.max_bytes is not None and needed > self.max_bytes:
            raise UserError(
                f"the stored outputs of this run would take {needed / 1e9:.1f} GB, more than cache.max_gb="
                f"{self.max_bytes / 1e9:g}: raise it, set data.views to fewer views, or use cache=off"
            )
        if self.max_bytes is not None:
            self.prune(self.max_bytes - needed)
        free = shutil.disk_usage(_existing(self.root)).free
        if needed > free:
            raise UserError(
                f"the stored outputs of this run would take {needed / 1e9:.2f} GB, but {self.root} has "
                f"{free / 1e9:.2f} GB left: make room, choose another folder with KTLIGHT_CACHE, or use cache=off"
            )

    def prune(self, most: int) -> list[Path]:
        """Delete the least recently used entries until the rest takes at most ``most`` bytes; return what went."""
        entries = sorted(self.entries(), key=lambda folder: (folder / "entry.json").stat().st_mtime)
        sizes = {folder: (folder / "logits.bin").stat().st_size for folder in entries}
        gone = []
        while entries and sum(sizes[folder] for folder in entries) > most:
            gone.append(entries.pop(0))
            shutil.rmtree(gone[-1])
        return gone

    def entries(self) -> list[Path]:
        """Return the folders of all finished entries."""
        return sorted(folder for folder in self.root.glob("*") if folder.is_dir() and not folder.suffix)

    def size(self) -> int:
        """Return the bytes that all finished entries take."""
        return sum((folder / "logits.bin").stat().st_size for folder in self.entries())

    def describe(self) -> list[dict[str, Any]]:
        """Return, for each entry, its key and shape, its size and the time of its last use; the latest first."""
        entries = []
        for folder in self.entries():
            facts = json.loads((folder / "entry.json").read_text())
            used = (folder / "entry.json").stat().st_mtime
            entries.append({"digest": folder.name, **facts["key"], **facts["shape"], "used": used})
        return sorted(entries, key=lambda entry: -entry["used"])

    def problems(self) -> Iterator[Damaged]:
        """Yield what is wrong with each entry that is not what was written."""
        for folder in self.entries():
            try:
                check(folder)
            except Damaged as problem:
                yield problem

    @contextmanager
    def lock(self, key: Key) -> Iterator[None]:
        """Hold the entry's lock; wait for whoever holds it, who is alive: a dead process holds none."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / f"{key.digest}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def discard(self, key: Key) -> None:
        """Delete an entry."""
        shutil.rmtree(self.folder(key))


def check(folder: Path, key: Key | None = None) -> Shape:
    """Check an entry against itself, and against the key it is wanted for; return its shape.

    Raises:
        Damaged: It is truncated or changed, of another version, or another model's or data set's.
    """
    try:
        facts: dict[str, Any] = json.loads((folder / "entry.json").read_text())
        if facts["format"] != FORMAT:
            raise Damaged(f"{folder} was written in format {facts['format']}, this version reads format {FORMAT}")
        stored, shape = Key(**facts["key"]), Shape(**facts["shape"])
        if stored.digest != folder.name or (key is not None and stored.digest != key.digest):
            raise Damaged(f"{folder} holds the outputs of something else ({stored.model}, view {stored.view})")
        size = (folder / "logits.bin").stat().st_size
        if size != shape.bytes:
            raise Damaged(f"{folder / 'logits.bin'} has {size} bytes instead of {shape.bytes}")
        if checksum(folder / "logits.bin") != facts["crc32"]:
            raise Damaged(f"{folder / 'logits.bin'} is not what was written there: its checksum differs")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Damaged(f"{folder} cannot be read ({error})") from error
    return shape


def checksum(file: Path) -> int:
    """Return the CRC-32 of a file."""
    value = 0
    with file.open("rb") as stream:
        while block := stream.read(CHECK_BLOCK):
            value = zlib.crc32(block, value)
    return value


def _map(file: Path, shape: Shape) -> Tensor:
    # not shared: what a reader might write to its tensor never reaches the file
    numbers = torch.from_file(str(file), shared=False, size=shape.rows * shape.columns, dtype=DTYPES[shape.dtype])
    return numbers.view(shape.rows, shape.columns)


def _bytes(block: Tensor) -> bytes:
    return block.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes()


def _note(file: Path, facts: dict[str, Any]) -> None:
    temporary = file.with_suffix(".new")
    temporary.write_text(json.dumps(facts))
    temporary.replace(file)


def _existing(folder: Path) -> Path:
    return folder if folder.exists() else _existing(folder.parent)
