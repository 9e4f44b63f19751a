"""The store: one memory-mapped array of outputs per entry, either complete and verified or absent.

A writer holds the entry's lock, which the operating system releases however the writer dies. It fills
``<digest>.partial`` in order and records its progress, so that the next writer can continue from there; the finished
folder is renamed to ``<digest>``. A reader checks the entry's key, format version, size and checksum. Entries are
created and removed by rename, so a reader sees a complete entry or none; existing mappings stay valid.
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

from ktlight.errors import NotWritten
from ktlight.preemption import wait_for
from ktlight.store.entry import Damaged, Shape, check_bytes, continued, map_file, note, read_entry, to_bytes
from ktlight.store.key import FORMAT, Key

logger = logging.getLogger(__name__)

MEND = "choose another folder with the environment variable KTLIGHT_CACHE, or use store=off"
NEVER = 0.0


class NoRoom(NotWritten):
    """Outputs cannot be stored: the disk or the limit is too small, or the folder is not writable."""


class LogitStore:
    """The entries in one folder.

    Args:
        root: The folder.
        max_gb: Maximum total size; least recently used entries are deleted first. None: no limit.
    """

    def __init__(self, root: Path, max_gb: float | None = None) -> None:
        self.root = root
        self.max_bytes = None if max_gb is None else int(max_gb * 1e9)

    def folder(self, key: Key) -> Path:
        """Return the entry's folder, whether it exists or not."""
        return self.root / key.digest

    def open(self, key: Key) -> Tensor | None:
        """Return an entry's numbers, memory-mapped ``[rows, columns]``, or None if it does not exist.

        Its checksum is verified the first time that this process opens it.

        Raises:
            Damaged: If the entry exists but is corrupt or belongs to another key.
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
        with contextlib.suppress(OSError):  # a read-only store is not pruned either
            os.utime(folder / "entry.json")  # the time of last use decides what is pruned first
        return stored

    def write(self, key: Key, shape: Shape, compute: Callable[[int], Iterable[Tensor]]) -> None:
        """Fill the partial entry, continuing an earlier writer's, and publish it; the caller holds the lock.

        Args:
            key: Key of the entry.
            shape: Size of the whole entry.
            compute: Yields, for a row, consecutive blocks ``[b, columns]`` from there to the last row.

        Raises:
            NoRoom: If the disk is full; what was written so far is kept for the next writer.
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
        """Return the number of bytes of an entry still to be written."""
        file = self._partial(key) / "logits.bin"
        return max(0, shape.bytes - (file.stat().st_size if file.exists() else 0))

    def make_room(self, needed: int) -> None:
        """Prune least recently used entries until ``needed`` bytes fit, before anything is written.

        Raises:
            NoRoom: If the limit or the disk is too small.
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
        """Delete unusable entries, then the least recently used, until the rest takes at most ``most`` bytes."""
        total = self.size()
        for folder in sorted(self.entries(), key=last_use):
            if total <= most:
                return
            total -= self.delete(folder)

    def entries(self) -> list[Path]:
        """Return the folders of all finished entries."""
        return sorted(folder for folder in self.root.glob("*") if folder.is_dir() and not folder.suffix)

    def size(self) -> int:
        """Return the total size of all finished entries, in bytes."""
        return sum(map(_bytes_below, self.entries()))

    @contextmanager
    def lock(self, key: Key, *, wait: bool) -> Iterator[bool]:
        """Hold the entry's lock, waiting for its current holder; a dead process never holds a lock.

        Without ``wait``, yield False if another process holds it.

        Raises:
            NoRoom: If the folder is not writable.
        """
        with self.lock_name(key.digest, wait) as held:
            yield held

    def delete(self, folder: Path) -> int:
        """Delete an entry atomically, even while others use it, and return its size in bytes."""
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
        """Hold the lock of the entry with this name; see `lock`."""
        lock = FileLock(self.root / f"{digest}.lock")
        try:
            with self._writing():
                self.root.mkdir(parents=True, exist_ok=True)
                wait_for(lock) if wait else lock.acquire(blocking=False)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            Path(lock.lock_file).unlink(missing_ok=True)  # waiting processes create a new one
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
    """Return the time of last use; `NEVER` for an entry that this version cannot read."""
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
