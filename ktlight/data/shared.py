"""Arrays that all processes of a machine map from one copy in memory."""

import errno
import fcntl
import functools
import hashlib
import logging
import mmap
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import version
from io import BytesIO, FileIO
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as numpy_format
from numpy.typing import NDArray

from ktlight.data.dataset import ImageTable
from ktlight.data.decoding import PIXELS
from ktlight.functional.randomness import IntArray

logger = logging.getLogger(__name__)

Array = NDArray[Any]
MEMORY = Path("/dev/shm")
COMPLETE = b"complete"
DECODERS = " ".join(f"{name} {version(name)}" for name in ("simplejpeg", "pillow", "torchvision", "torch"))


def shared(identity: str, make: Callable[[], Sequence[Array] | None]) -> Sequence[Array] | None:
    """Return arrays that depend on ``identity`` alone, from the copy of another process, or made and shared here.

    The copy is a file in memory (``/dev/shm``; without one, in the folder for temporary files). Each process that maps
    it holds a lock on it, which ends with the process, even a killed one. The last one to let go of its arrays removes
    the file; what killed processes left behind, the next one does. A writer locks out all others until the file is
    complete. Where there is no room, the arrays stay in this process's own memory, which is logged.

    Args:
        identity: Of the data, the rows and everything done to them; the versions of pixel processing are added.
        make: Makes the arrays; None if they are not to be kept.

    Returns:
        The arrays; writing to them changes only this process's copy.
    """
    try:
        folder = _own_folder()
        _prune(folder)
        path = folder / hashlib.sha256(f"{identity} pixels={PIXELS} {DECODERS}".encode()).hexdigest()[:32]
        file = _locked(path)
    except OSError as error:
        _say(str(error))
        return make()
    if not _is_complete(file):
        arrays = None
        try:
            arrays = make()
            if arrays is not None:
                _write(file, path, arrays)
        except OSError as error:
            if arrays is None:  # it is not the copy that failed
                raise
            _say(str(error))
        finally:
            if not _is_complete(file):
                path.unlink(missing_ok=True)
                file.close()
        if file.closed:
            return arrays
        fcntl.flock(file, fcntl.LOCK_SH)
    return _mapped(file, path)


def rows_identity(table: ImageTable, rows: IntArray) -> str:
    """Return the identity of some rows of a split: of their content and their order."""
    return f"{table.fingerprint} {hashlib.sha256(rows.astype('<i8').tobytes()).hexdigest()}"


def _own_folder() -> Path:
    """Return a folder that no other user can write to."""
    folder = (MEMORY if MEMORY.is_dir() else Path(tempfile.gettempdir())) / f"ktlight-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if folder.is_symlink() or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(errno.EPERM, "others can write there", str(folder))
    return folder


def _prune(folder: Path) -> None:
    """Remove files that no living process has locked."""
    for path in folder.iterdir():
        with suppress(OSError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


def _locked(path: Path) -> FileIO:
    """Open a file, together with others if it is complete, else alone; wait until that can be."""
    while True:
        file = FileIO(path, "a+")
        fcntl.flock(file, fcntl.LOCK_SH)
        if not _is_complete(file):
            fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:  # else another process removed it meanwhile
            return file
        file.close()


def _is_complete(file: FileIO) -> bool:
    end = os.fstat(file.fileno()).st_size - len(COMPLETE)
    return end >= 0 and os.pread(file.fileno(), len(COMPLETE), end) == COMPLETE


def _write(file: FileIO, path: Path, arrays: Sequence[Array]) -> None:
    """Write the arrays one after the other, each with NumPy's header, and last that they are complete."""
    if sum(array.nbytes for array in arrays) > shutil.disk_usage(path.parent).free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    file.truncate(0)
    for array in arrays:
        header = BytesIO()
        numpy_format.write_array_header_1_0(header, numpy_format.header_data_from_array_1_0(array))
        _write_all(file, header.getbuffer())
        _write_all(file, np.ascontiguousarray(array).data.cast("B"))
    _write_all(file, memoryview(COMPLETE))


def _write_all(file: FileIO, content: memoryview) -> None:
    while len(content):
        content = content[file.write(content) :]


def _mapped(file: FileIO, path: Path) -> list[Array]:
    """Return a complete file's arrays; when all of them are gone, so is this process's part in it."""
    memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    weakref.finalize(memory, _let_go, file, path, os.getpid())
    arrays: list[Array] = []
    file.seek(0)
    while file.tell() < len(memory) - len(COMPLETE):
        numpy_format.read_magic(file)
        shape, _, dtype = numpy_format.read_array_header_1_0(file)
        array = np.frombuffer(memory, dtype, prod(shape), file.tell()).reshape(shape)
        arrays.append(array)
        file.seek(array.nbytes, os.SEEK_CUR)
    return arrays


def _let_go(file: FileIO, path: Path, process: int) -> None:
    """Unlock a file, and remove it if no other process has it; a forked process shares its parent's lock."""
    if os.getpid() != process:
        return
    with suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    file.close()


@functools.cache
def _say(reason: str) -> None:
    logger.info("This process keeps decoded images of its own, not shared with others on this machine: %s", reason)
