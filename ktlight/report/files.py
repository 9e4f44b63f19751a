"""Files that are either whole or not there."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from ktlight.errors import UserError

TRIAL = bytes(2**16)


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path`` and rename it there when it is complete.

    A killed process leaves the old file; a failed write (a full disk) leaves the old file and nothing else. It does not
    wait for the disk itself: that would take most of an epoch where the checkpoint is large and the data set small.
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
    write_atomically(path, lambda temporary: temporary.write_text(text))


def check_writable(folder: Path, option: str) -> None:
    """Find out, leaving nothing behind, whether files can be written in a folder that need not be there yet.

    Args:
        folder: The folder.
        option: What the user can give to choose another one.

    Raises:
        UserError: They cannot.
    """
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(TRIAL)
    except OSError as error:
        raise UserError(
            f"cannot write in {folder} ({existing}: {error.strerror}). Choose another folder with {option}"
        ) from error
