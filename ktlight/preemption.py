"""Being asked to leave: schedulers send SIGTERM, SIGUSR1 or SIGUSR2 before they kill.

The handlers only take note. A run looks at the note where nothing is half done, and leaves there with `Preempted`; what
had been kept until then is whole in any case, since a process may also be killed without notice.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import active_children
from time import monotonic
from types import FrameType

from filelock import FileLock, Timeout

from ktlight.errors import Preempted

STATUS = 75
"""Exit status of a command that was asked to leave: come back, the same command goes on (EX_TEMPFAIL)."""
SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
PATIENCE = 5.0
"""Seconds after which a further signal is not the same request again (Slurm sends several) but an urgent one."""

_asked: dict[int, float] = {}  # the signals that have come, and when
_passes_on = False  # whether processes started from here are told of them


def asked_to_leave() -> bool:
    """Return whether this process was asked to leave."""
    return bool(_asked)


def leave_if_asked() -> None:
    """Raise `Preempted` if this process was asked to leave."""
    if _asked:
        raise Preempted


def forget() -> None:
    """Begin anew, for a process in which an earlier run had been asked to leave."""
    _asked.clear()


@contextmanager
def leaving_when_asked(pass_on: bool = False) -> Iterator[None]:
    """Take note of the signals meanwhile, then put the former handlers back; if the run left, they are called now.

    A former handler, such as submitit's, may put the job back into the queue and end the process. Within another such
    block, or outside the main thread, where handlers cannot be set, nothing happens.

    Args:
        pass_on: Whether the processes started from here run jobs, and are to be told: who asks may know this one alone.
    """
    global _passes_on
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(SIGNALS[0]) is _take_note:
        yield
        return
    former = {number: handler for number in SIGNALS if (handler := signal.getsignal(number)) is not None}
    for number in former:
        signal.signal(number, _take_note)
    left, _passes_on = False, pass_on
    try:
        yield
    except Preempted:
        left = True
        raise
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
        _passes_on = False
        if left:
            for number, handler in former.items():
                if number in _asked and callable(handler):
                    handler(number, None)


def wait_for(lock: FileLock) -> None:
    """Acquire a lock that another process holds.

    Raises:
        Preempted: This process was asked to leave before it got the lock.
    """
    try:
        lock.acquire(cancel_check=asked_to_leave)
    except Timeout:
        leave_if_asked()
        raise


def _take_note(number: int, frame: FrameType | None) -> None:
    for child in active_children() if _passes_on else ():
        if child.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(child.pid, number)
    since = min(_asked.values(), default=None)
    _asked.setdefault(number, monotonic())
    if since is not None and monotonic() - since > PATIENCE:
        raise Preempted
