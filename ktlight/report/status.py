"""Where sweeps and runs stand, read from their folders without writing anything there."""

import json
import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ktlight.report.failure import FAILURE, Failure, read_failure
from ktlight.report.plan import PLAN, read_plan
from ktlight.report.state import State, state_of

SWEEP = {PLAN, "multirun.yaml"}
RUN = {"results.json", "config.yaml", "environment.json", FAILURE, ".lock", ".hydra"}
TO_DO = (State.RUNNING, State.INTERRUPTED, State.ABSENT)
UNREADABLE = Failure("unexpected", f"its {FAILURE} cannot be read")


class Job(NamedTuple):
    """A run that there is or should be.

    Attributes:
        folder: Of the run.
        prepares: Whether it only prepares others, as `ktlight.report.plan.Job`.
    """

    folder: Path
    prepares: bool = False


@dataclass
class Standing:
    """Where the runs of one sweep, or those that lie in one folder, stand.

    Attributes:
        folder: Of the sweep, or where the runs lie.
        planned: Whether the sweep says what it is going to do; else nobody knows what is absent.
        states: How many runs are in each state.
        failures: The folders of the failed runs, and why.
        used: Seconds that the finished runs took, one after the other.
        left: Estimated seconds until the rest is done; None where nothing is known to go by.
    """

    folder: Path
    planned: bool = False
    states: Counter[State] = field(default_factory=Counter)
    failures: list[tuple[Path, Failure]] = field(default_factory=list)
    used: float = 0.0
    left: float | None = None


def standings(folders: Iterable[Path]) -> list[Standing]:
    """Return where the runs below some folders stand, by sweep; single runs by the folder that they lie in."""
    found: dict[Path, list[Job]] = defaultdict(list)
    planned: set[Path] = set()
    for folder in folders:
        for place, run in _runs_below(folder):
            if run is not None:
                found[place].append(Job(run))
            else:
                planned.add(place)
                found[place] = [Job(place / job.folder, job.prepares) for job in read_plan(place) or ()]
    return [_standing(place, jobs, place in planned) for place, jobs in sorted(found.items())]


def _runs_below(folder: Path) -> Iterator[tuple[Path, Path | None]]:
    """Yield the runs below a folder, each after where it is listed; None for a sweep that has a plan.

    Folders inside a run are not looked at, links to folders are not followed, and what may not be read is left out.
    """
    waiting: list[tuple[Path, Path | None]] = [(folder, None)]
    while waiting:
        here, sweep = waiting.pop()
        names, folders = _entries(here)
        if PLAN in names and read_plan(here) is not None:
            yield here, None
        elif names & RUN and not names & SWEEP:
            yield sweep or here.parent, here
        else:
            inside = here if names & SWEEP else sweep
            waiting += [(here / name, inside) for name in folders]


def _entries(folder: Path) -> tuple[set[str], list[str]]:
    try:
        with os.scandir(folder) as entries:
            listed = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    except OSError:
        return set(), []
    return {name for name, _ in listed}, [name for name, is_folder in listed if is_folder]


def _standing(place: Path, jobs: Sequence[Job], planned: bool) -> Standing:
    standing = Standing(place, planned)
    seconds: dict[bool, list[float]] = {False: [], True: []}
    to_do: list[tuple[bool, float]] = []  # of each job: whether it prepares, and since when it has been running
    for job in jobs:
        state = state_of(job.folder)
        standing.states[state] += 1
        if state == State.FAILED:
            standing.failures.append((job.folder, read_failure(job.folder) or UNREADABLE))
        elif state == State.DONE:
            seconds[job.prepares].append(seconds_of(job.folder))
        else:
            to_do.append((job.prepares, _running_for(job.folder) if state == State.RUNNING else 0.0))
    standing.used = sum(map(sum, seconds.values()))
    standing.left = _left(seconds, to_do, standing.states[State.RUNNING])
    return standing


def _left(seconds: dict[bool, list[float]], to_do: Sequence[tuple[bool, float]], at_a_time: int) -> float | None:
    """Return in how many seconds the rest is done, if every run takes the mean of those like it, as many at a time."""
    every = [*seconds[False], *seconds[True]]
    if not to_do:
        return 0.0
    if not every:
        return None
    means = {prepares: sum(group or every) / len(group or every) for prepares, group in seconds.items()}
    return sum(max(0.0, means[prepares] - since) for prepares, since in to_do) / max(1, at_a_time)


def seconds_of(folder: Path) -> float:
    """Return how long a finished run took; 0 if it does not say."""
    try:
        return float(sum(json.loads((folder / "results.json").read_text())["seconds"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return 0.0


def _running_for(folder: Path) -> float:
    """Return for how many seconds a run has been at it; 0 while it is still loading."""
    try:
        return max(0.0, time.time() - (folder / "environment.json").stat().st_mtime)
    except OSError:
        return 0.0
