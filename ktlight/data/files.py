"""Files named by a user: finding and reading them."""

import os
from collections.abc import Sequence
from glob import escape, glob
from pathlib import Path

from ktlight.data.decoding import DecodeError
from ktlight.errors import NotThere


def find_files(patterns: Sequence[str]) -> list[str]:
    """Return the files that match names and patterns, those of each pattern sorted.

    Raises:
        NotThere: There are none.
    """
    files = []
    for pattern in patterns:
        found = [file for file in sorted(glob(_unambiguous(pattern), recursive=True)) if Path(file).is_file()]  # noqa: PTH207
        if not found:
            raise NotThere(
                f"No file {pattern!r}, seen from {Path.cwd()}. Check data.root= (or data.train=, data.val=)."
            )
        files += found
    return files


def _unambiguous(pattern: str) -> str:
    """Return the pattern with the part that exists verbatim escaped."""
    path = Path(pattern).expanduser()
    if path.exists():
        return escape(str(path))
    existing = next(parent for parent in path.parents if parent.exists())
    return str(Path(escape(str(existing))) / path.relative_to(existing))


def read_file(path: str) -> bytes:
    """Return the bytes of a file.

    Raises:
        DecodeError: It cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise DecodeError(error.strerror or str(error)) from error


def file_size(path: str) -> int:
    """Return the number of bytes of a file, -1 where there is none."""
    try:
        return os.stat(path).st_size  # noqa: PTH116 (a third faster, and there may be millions)
    except OSError:
        return -1
