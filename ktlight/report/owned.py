"""Ownership of run folders: which files runs write, and which process is running there.

Nothing here imports torch: the command line checks this before anything is loaded.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ktlight.errors import UserError

PATIENCE = 1.0  # seconds: somebody who only looks whether a process is running here holds the lock for a moment
WRITTEN = (
    r"config\.yaml|environment\.json|results\.json|curves\.csv|predictions\.parquet|guard\.parquet|failure\.json"
    r"|report\.html|(recommendations|scores|finished|evaluation)\.parquet"
    r"|discovery\.json|(models|pairs|classes|expertise|examples|images)\.parquet"
    r"|figures|tables"
    r"|student|teacher\d*|stages|checkpoints|tensorboard|pretrain-.+"
)
OF_A_RUN = re.compile(rf"({WRITTEN})|\.({WRITTEN})[.-][\w-]+")
"""Files of a single run, including temporary ones left by a killed run."""
OF_THE_FOLDER = re.compile(r"\.hydra|\.lock|[\w-]+\.log|multirun\.yaml|wandb|wandb_(id|workspace)\.txt|previous-\d+")
"""Files shared by all runs in a folder; W&B's have unique names and must stay where they are to be synced."""


def files_of_a_run(folder: Path) -> list[Path]:
    """Return the files of an earlier run that the next one would overwrite."""
    return [path for path in folder.glob("*") if OF_A_RUN.fullmatch(path.name)]


def check_owned(folder: Path, option: str) -> None:
    """Check that a folder holds only files of runs, since these may be moved or replaced.

    Args:
        folder: The folder of a run; it need not exist yet.
        option: The option that chooses another one.

    Raises:
        UserError: If it holds anything else.
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
    """Raise `UserError` if a process is running in a folder; without side effects."""
    if (folder / ".lock").exists():
        with locked(folder):
            pass


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a folder against other processes, creating it if necessary.

    Raises:
        UserError: If another process is running there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=PATIENCE)
    except Timeout as error:
        raise UserError(
            f"another process is running in {folder}: wait for it or stop it, or choose another folder"
        ) from error
    try:
        yield
    finally:
        lock.release()
