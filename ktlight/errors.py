"""The one kind of error that a user can cause and fix, by what to do about it, and being asked to leave."""

import errno
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import ClassVar

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Numbers of the system's errors for a full disk, a quota that is used up, and the largest file that is allowed."""


class UserError(Exception):
    """The input cannot work; the message says why and what to do about it.

    The command line prints the message alone (no traceback) and exits with a non-zero status.

    Attributes:
        kind: What a sweep makes of it; see `ktlight.report.failure`.
    """

    kind: ClassVar[str] = "user"


class NotThere(UserError):  # noqa: N818
    """Images or weights that the options name do not exist: what depends on them cannot be said yet."""


class Refused(UserError):  # noqa: N818
    """A folder holds what this command may not go on with or replace; nothing was tried, so nothing has failed."""


class OutOfMemory(UserError):  # noqa: N818  (what happened, not what failed)
    """The memory of the device or the machine was full: the same run may have room alone."""

    kind = "memory"


class NotFinite(UserError):  # noqa: N818
    """Training diverged; with the same seed it would again."""

    kind = "not finite"


class NotWritten(UserError):  # noqa: N818
    """Reading or writing failed, on a full disk or a file system that is gone: later it may work."""

    kind = "input/output"


class Preempted(BaseException):  # not an Exception: nothing on the way out may take it for a failure
    """The process was asked to leave (SIGTERM, SIGUSR1, SIGUSR2), and did so between two steps."""


def nearest(name: str, known: Iterable[str], count: int = 3) -> str:
    """Return a hint naming the valid names nearest to ``name``, whatever their case; empty if none is near.

    >>> nearest("vit_bb", ["vit_b", "resnet50"])
    ' Did you mean vit_b?'
    >>> nearest("sgd", ["SGD", "Adam"])
    ' Did you mean SGD?'
    """
    by_lower = {each.lower(): each for each in sorted(set(known))}
    matches = [by_lower[match] for match in get_close_matches(name.lower(), by_lower, n=count, cutoff=0.6)]
    return f" Did you mean {' or '.join(matches)}?" if matches else ""


def shortened(names: Sequence[str]) -> str:
    """Return at most five names, for a message."""
    return f"{', '.join(names[:5])}{' ...' if len(names) > 5 else ''}"
