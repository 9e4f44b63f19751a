"""Folders for runs that were given none: a name and the next number."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from ktlight.report.failure import FAILURE
from ktlight.report.files import check_writable


@contextmanager
def numbered_folder(parent: Path, name: str, option: str, *, resume: bool = False) -> Iterator[Path]:
    """Make the folder ``name-N`` with the number after the highest there is, so that every run has its own.

    If the run fails before it has written anything, the folder goes again.

    Args:
        parent: Where it lies.
        name: Of what is run.
        option: How the user chooses another folder.
        resume: Whether to take the one with the highest number, if there is one, instead.

    Raises:
        UserError: Nothing can be written there.
    """
    form = re.compile(rf"{re.escape(name)}-(\d+)")
    numbers = [int(match[1]) for path in parent.glob("*") if (match := form.fullmatch(path.name))]
    last = max(numbers, default=0)
    if resume and last:
        yield parent / f"{name}-{last}"
        return
    check_writable(parent, option)
    folder = _new(parent, name, last + 1)
    try:
        yield folder
    except BaseException:
        if {path.name for path in folder.iterdir()} <= {".lock", FAILURE}:
            shutil.rmtree(folder)
        raise


def _new(parent: Path, name: str, first: int) -> Path:
    parent.mkdir(parents=True, exist_ok=True)
    for number in count(first):
        folder = parent / f"{name}-{number}"
        try:
            folder.mkdir()
        except FileExistsError:  # another process was faster
            continue
        return folder
    raise AssertionError("the numbers have come to an end")
