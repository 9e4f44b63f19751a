"""The one kind of error that a user can cause and fix."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """The user's input cannot work; the message says why and what to do about it.

    The command line prints the message alone (no traceback) and exits with a non-zero status.
    """


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
