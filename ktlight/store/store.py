"""The store: one memory-mapped array of stored outputs an entry, whole and checked or not there.

A writer holds the entry's lock, which the operating system releases when the writer dies, however it dies. It fills
``<digest>.partial`` in order and notes how far it is, so that the next writer goes on there; the finished folder is
renamed to ``<digest>``. A reader checks that the entry is the one it wants, in this version's format, of the right
size, and that its bytes are those that were written. An entry goes as it comes, by a rename: who has it mapped keeps
it, who opens it finds a whole one or none.
"""

import contextlib
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from filelock import FileLock, Timeout
from torch import Tensor

from ktlight.errors import UserError
from ktlight.store.entry import Damaged, Shape, check_bytes, continued, map_file, note, read_entry, to_bytes
from ktlight.store.key import FORMAT, Key

logger = logging.getLogger(__name__)

MEND = "choose another folder with the environment variable KTLIGHT_CACHE, or use store=off"
NEVER = 0.0


class NoRoom(UserError):  # noqa: N818  (says what is the matter with the store)
    """Outputs cannot be stored: the disk or the limit is too small, or the folder cannot be written."""


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
        """Return what an entry holds, memory-mapped ``[rows, columns]``, or None if it is not there.

        Its bytes are checked the first time that this process opens it.

        Raises:
            Damaged: The entry is there, but it is not what was written for this key.
        """
        folder = self.folder(key)
        if (found := _identity(folder)) is None:
            return None
        try:
            entry = read_entry(folder, key)
            check_bytes(entry)
            stored = map_file(entry)
        except Damaged:
            if _identity(folder) == found:
                raise
            return self.open(key)  # another process deleted it just now
        with contextlib.suppress(OSError):  # it is only read here, so it is not pruned here either
            os.utime(folder / "entry.json")  # the time of last use decides what is pruned first
        return stored

    def write(self, key: Key, shape: Shape, compute: Callable[[int], Iterable[Tensor]]) -> None:
        """Fill the partial entry, from where an earlier writer stopped, and let it appear; the caller holds the lock.

        Args:
            key: What is stored.
            shape: Size of the whole entry.
            compute: Gives, for a row, consecutive blocks ``[b, columns]`` from there to the last row.

        Raises:
            NoRoom: The disk does not take it; what was written so far is kept for the next writer.
        """
        partial = self._partial(key)
        start, checksum = continued(partial, shape)
        with self._writing():
            partial.mkdir(parents=True, exist_ok=True)
            file = (partial / "logits.bin").open("r+b" if start else "wb", buffering=0)
        with file:
            file.truncate(start * shape.row_bytes)
            file.seek(0, os.SEEK_END)
            row = start
            for block in compute(start):
                written, checksum = to_bytes(block, shape, checksum)
                with self._writing():
                    if file.write(written) != len(written):
                        raise OSError("the disk is full")
                    row += len(block)
                    note(partial / "progress.json", {"rows": row, "crc32": checksum, "shape": asdict(shape)})
            with self._writing():
                os.fsync(file.fileno())
        if row != shape.rows:
            raise ValueError(f"{row} rows were written to an entry of {shape.rows}")
        with self._writing():
            facts = {"format": FORMAT, "key": asdict(key), "shape": asdict(shape), "crc32": checksum}
            note(partial / "entry.json", facts)
            partial.rename(self.folder(key))
            (self.folder(key) / "progress.json").unlink()

    def remaining(self, key: Key, shape: Shape) -> int:
        """Return the bytes that are still to be written of an entry."""
        file = self._partial(key) / "logits.bin"
        return max(0, shape.bytes - (file.stat().st_size if file.exists() else 0))

    def make_room(self, needed: int) -> None:
        """Prune what was used least recently until ``needed`` bytes fit, before anything is written.

        Raises:
            NoRoom: They cannot fit: the limit or the disk is too small.
        """
        takes = f"the outputs to store for this run take {_size(needed)}"
        if self.max_bytes is not None:
            if needed > self.max_bytes:
                raise NoRoom(
                    f"{takes}, more than store.max_gb={self.max_bytes / 1e9:g}: raise it, draw fewer views "
                    "(data.views), keep only the largest logits (store.top_k), or use store=off"
                )
            self.prune(self.max_bytes - needed)
        free = shutil.disk_usage(_existing(self.root)).free
        if needed > free:
            raise NoRoom(f"{takes}, but {self.root} has {_size(free)} left: make room, {MEND}")

    def prune(self, most: int) -> None:
        """Delete what was used least recently until the rest takes at most ``most`` bytes; first what is of no use."""
        total = self.size()
        for folder in sorted(self.entries(), key=last_use):
            if total <= most:
                return
            total -= self.delete(folder)

    def entries(self) -> list[Path]:
        """Return the folders of all finished entries."""
        return sorted(folder for folder in self.root.glob("*") if folder.is_dir() and not folder.suffix)

    def size(self) -> int:
        """Return the bytes that all finished entries take."""
        return sum(map(_bytes_below, self.entries()))

    @contextmanager
    def lock(self, key: Key, *, wait: bool) -> Iterator[bool]:
        """Hold the entry's lock, if need be after whoever holds it, who is alive: a dead process holds none.

        Without ``wait``, yield False where another process holds it.

        Raises:
            NoRoom: The folder cannot be written.
        """
        with self.lock_name(key.digest, wait) as held:
            yield held

    def delete(self, folder: Path) -> int:
        """Delete an entry at once, whoever else may be at it, and return how many bytes it took."""
        gone = folder.with_name(f"{folder.name}.{os.getpid()}-{time.monotonic_ns()}.deleted")
        with self._writing(), contextlib.suppress(FileNotFoundError):  # another process was faster
            size = _bytes_below(folder)
            folder.rename(gone)
            logger.info("Deleting %s (%s)", folder, _size(size))
            shutil.rmtree(gone)
            return size
        return 0

    @contextmanager
    def lock_name(self, digest: str, wait: bool) -> Iterator[bool]:
        """Hold the lock of the entry of this name; as `lock`."""
        lock = FileLock(self.root / f"{digest}.lock")
        try:
            with self._writing():
                self.root.mkdir(parents=True, exist_ok=True)
                lock.acquire(blocking=wait)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            Path(lock.lock_file).unlink(missing_ok=True)  # who waited for it takes a new one
            lock.release()

    def _partial(self, key: Key) -> Path:
        return self.root / f"{key.digest}.partial"

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except Timeout:  # an OSError too
            raise
        except OSError as error:
            raise NoRoom(
                f"outputs cannot be stored in {self.root} ({error}): make room there or make it writable, {MEND}. "
                "What was stored so far is kept"
            ) from error


def _size(size: int) -> str:
    return f"{size / 1e9:.3g} GB"


def _bytes_below(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*") if file.is_file())


def last_use(folder: Path) -> float:
    """Return the time of last use; `NEVER` for what this version cannot read."""
    try:
        read_entry(folder)
        return (folder / "entry.json").stat().st_mtime
    except (Damaged, FileNotFoundError):
        return NEVER


def _identity(folder: Path) -> int | None:
    try:
        return folder.stat().st_ino
    except FileNotFoundError:
        return None


def _existing(folder: Path) -> Path:
    return folder if folder.exists() else _existing(folder.parent)
