"""Atomic file writes."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from ktlight.errors import DISK_FULL, NotWritten, UserError

TRIAL = bytes(2**16)


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file next to ``path``, then rename it to ``path``.

    A killed process leaves the old file; a failed write (a full disk) leaves the old file and nothing else. There is no
    fsync, which would take most of an epoch for a large checkpoint and a small data set.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(temporary)
        temporary.replace(path)
    except OSError as error:
        error.filename = error.filename or path  # a write through an open file does not know its name
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def check_writable(folder: Path, option: str) -> None:
    """Check, without side effects, that files can be written to a folder that need not exist yet.

    Args:
        folder: The folder.
        option: The option that chooses another one.

    Raises:
        UserError: If they cannot.
    """
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(TRIAL)
    except OSError as error:
        kind = NotWritten if error.errno in DISK_FULL else UserError
        raise kind(
            f"cannot write in {folder} ({existing}: {error.strerror}). Choose another folder with {option}"
        ) from error
