"""The state of a run, read from its folder: the folder is all there is to know."""

from enum import StrEnum
from pathlib import Path

from filelock import FileLock, Timeout

from ktlight.report.failure import FAILURE


class State(StrEnum):
    """What has become of a run."""

    DONE = "done"
    RUNNING = "running"
    FAILED = "failed"
    INTERRUPTED = "interrupted"  # killed, preempted or stopped: it has begun, and nobody works on it
    ABSENT = "absent"  # not begun


def state_of(folder: Path) -> State:
    """Return the state of the run in a folder, at the cost of a few looks at the file system."""
    if (folder / "results.json").exists():
        return State.DONE
    if _is_held(folder / ".lock"):
        return State.RUNNING
    if (folder / FAILURE).exists():
        return State.FAILED
    begun = any((folder / name).exists() for name in ("config.yaml", "environment.json", ".lock"))
    return State.INTERRUPTED if begun else State.ABSENT


def _is_held(file: Path) -> bool:
    """Return whether a process holds a lock; one that died does not."""
    if not file.exists():
        return False
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False
