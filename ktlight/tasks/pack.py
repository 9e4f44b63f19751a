"""Several transfers in one process, whose students learn together; all else they do one after the other."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from ktlight.stages.pack import train_pack
from ktlight.stages.pause import Steps
from ktlight.stages.waiting import Waiting
from ktlight.tasks.frame import steps_of
from ktlight.training.worker import Entry, Surroundings


def run_pack(entries: Sequence[Entry], told: Surroundings) -> None:
    """Run transfers to their ends, their students together.

    Args:
        entries: The runs.
        told: Within it an error of a run is told of; the others go on.

    Raises:
        Preempted: The process was asked to leave.
    """
    with ExitStack() as stack:
        waiting = []
        for entry in entries:
            with entry.place(), told():
                steps = steps_of(entry.config)
                stack.callback(steps.close)
                if (training := _next(steps)) is not None:
                    waiting.append((entry, steps, training))
        outcomes = train_pack([(training, entry.place) for entry, _, training in waiting])
        for (entry, steps, _), outcome in zip(waiting, outcomes, strict=True):
            with entry.place(), told():
                _next(steps, outcome)


def _next(steps: Steps[Any], outcome: Any = None) -> Waiting | None:
    """Let a run go on, and return what it wants to be trained; None if it has come to its end."""
    try:
        return steps.send(outcome)
    except StopIteration:
        return None
