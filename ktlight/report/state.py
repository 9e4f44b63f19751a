"""The state of a run, read from its folder: the folder is all there is to know."""

import fcntl
from enum import StrEnum
from pathlib import Path

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
    """Return whether a process holds a lock; one that died does not.

    Looking takes a shared lock for an instant, on a file opened for reading: nothing is written, so that it works in
    other people's folders too.
    """
    try:
        with file.open("rb") as opened:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # there is none, or it may not be looked at
        return False
    return False
