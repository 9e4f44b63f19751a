"""Whose a folder is: what runs write in it, and which process is at work there.

Nothing here imports torch: the command line asks before anything is loaded.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ktlight.errors import UserError

WRITTEN = (
    r"config\.yaml|environment\.json|results\.json|curves\.csv|predictions\.parquet|guard\.parquet|wandb_id\.txt"
    r"|student|teacher\d*|stages|checkpoints|tensorboard|pretrain-.+"
)
OF_A_RUN = re.compile(rf"({WRITTEN})|\.({WRITTEN})[.-][\w-]+")
"""What belongs to one run, and what a killed one had not yet renamed."""
OF_THE_FOLDER = re.compile(r"\.hydra|\.lock|[\w-]+\.log|multirun\.yaml|wandb|previous-\d+")
"""What all runs in a folder share; W&B's files have names of their own and are found there when they are synced."""


def files_of_a_run(folder: Path) -> list[Path]:
    """Return what a run has left in a folder and the next one would write over."""
    return [path for path in folder.glob("*") if OF_A_RUN.fullmatch(path.name)]


def check_owned(folder: Path, option: str) -> None:
    """Check that nobody else's files lie in a folder; only those of runs may be moved or replaced.

    Args:
        folder: The folder of a run; it need not be there yet.
        option: How to choose another one.

    Raises:
        UserError: Something else is there.
    """
    names = sorted(path.name for path in folder.glob("*")) if folder.is_dir() else []
    others = [name for name in names if not (OF_A_RUN.fullmatch(name) or OF_THE_FOLDER.fullmatch(name))]
    if others:
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        raise UserError(
            f"{folder} holds {', '.join(others[:3])}{more}, which no run writes: a run needs a folder of its own. "
            f"Choose another with {option}"
        )


def check_free(folder: Path) -> None:
    """Raise `UserError` if a process is at work in a folder; leave nothing behind."""
    if (folder / ".lock").exists():
        with locked(folder):
            pass


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes out of a folder, which is made if need be.

    Raises:
        UserError: Another process is at work there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UserError(
            f"another process is running in {folder}: wait for it or stop it, or choose another folder"
        ) from error
    try:
        yield
    finally:
        lock.release()
