"""The table of where sweeps and runs stand, and the list of what has failed."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.console import Group
from rich.markup import escape

from ktlight.report.failure import KINDS
from ktlight.report.layout import Column, duration, fitted, plain
from ktlight.report.state import State
from ktlight.report.status import Standing
from ktlight.report.table import short

ORDER = (State.DONE, State.RUNNING, State.INTERRUPTED, State.FAILED, State.ABSENT)


def shown(standings: Sequence[Standing], width: int, failures: int | None) -> Group:
    """Return what to print.

    Args:
        standings: Of sweeps and folders of runs.
        width: Of the terminal, in characters.
        failures: How many failures to list; None for all.
    """
    lines = [escape(plain(line)) for line in (*_failed(standings, failures), *_to_go_on(standings))]
    return Group(fitted(_columns(standings), width), *lines)


def counted(standings: Sequence[Standing]) -> Counter[State]:
    """Return how many runs are in each state."""
    return sum((each.states for each in standings), start=Counter())


def _columns(standings: Sequence[Standing]) -> list[Column]:
    together = [counted(standings)] * (len(standings) > 1)
    counts = [*(each.states for each in standings), *together]
    used = [each.used for each in standings]
    there = [state for state in ORDER if state == State.DONE or any(count[state] for count in counts)]
    return [
        Column("runs", [*(short(each.folder) for each in standings), *("all" for _ in together)], right=False, fold=40),
        *(Column(state, [str(count[state] or "-") for count in counts]) for state in there),
        Column("used", [*map(duration, used), *(duration(sum(used)) for _ in together)], spare=1),
        Column("left", [*map(_left, standings), *("" for _ in together)]),
    ]


def _left(standing: Standing) -> str:
    return "?" if standing.left is None else duration(standing.left) if standing.left else "-"


def _failed(standings: Sequence[Standing], most: int | None) -> Iterator[str]:
    """Yield what failed: by kind, then by message, with the folders below it."""
    every = [each for standing in standings for each in standing.failures]
    every.sort(key=lambda each: (list(KINDS).index(each[1].kind), each[1].message))
    for kind, alike in groupby(every[:most], lambda each: each[1].kind):
        yield f"failed       {kind}: {KINDS[kind]}"
        for message, failed in groupby(alike, lambda each: each[1].message):
            yield f"  {message}"
            for folder, failure in failed:
                yield f"    {short(folder)}{f' ({failure.attempts} attempts)' * (failure.attempts > 1)}"
    if most is not None and len(every) > most:
        yield f"             and {len(every) - most} more: status.failures=null lists them all"


def _to_go_on(standings: Sequence[Standing]) -> Iterator[str]:
    states = counted(standings)
    if states[State.INTERRUPTED]:
        yield "interrupted  begun, and nobody works on it here: the command that started it, given again, goes on"
    if any(each.left for each in standings):
        each = "with as many at a time as run now" if states[State.RUNNING] else "one after the other"
        yield f"left         if every run takes the mean of the finished ones, {each}"
