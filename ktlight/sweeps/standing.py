"""How the jobs of a sweep stand, by their folders."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from ktlight.report.failure import FAILURE, Failure, read_failure
from ktlight.report.plan import Job
from ktlight.report.state import State, state_of


class Standing(NamedTuple):
    """How a job stands.

    Attributes:
        job: The job.
        state: Of its run.
        failure: Why it failed, if it did.
    """

    job: Job
    state: State
    failure: Failure | None = None

    @property
    def kind(self) -> str | None:
        """The kind of its failure."""
        return self.failure.kind if self.failure else None


def standing(folder: Path, job: Job, repeated: bool = False) -> Standing:
    """Return how a job stands.

    Args:
        folder: Of the sweep.
        job: The job.
        repeated: Whether the sweep repeats what is done: a failure newer than the results beside it then counts.
    """
    own = folder / job.folder
    state = state_of(own)
    if state == State.DONE and repeated and _newer(own / FAILURE, own / "results.json"):
        state = State.FAILED
    return Standing(job, state, read_failure(own) if state == State.FAILED else None)


def standings(folder: Path, jobs: Iterable[Job], repeated: bool = False) -> list[Standing]:
    """Return how jobs stand."""
    return [standing(folder, job, repeated) for job in jobs]


def counted(found: Sequence[Standing]) -> str:
    """Return how many jobs stand how, in words."""
    count = Counter(each.state for each in found)
    words = {State.ABSENT: "not begun", State.RUNNING: "running in another process"}
    return ", ".join(f"{count[state]} {words.get(state, state)}" for state in State if count[state])


def failures(folder: Path, found: Sequence[Standing]) -> str:
    """Return every failed job with its error, one a line."""
    return "".join(
        f"\n  {folder / each.job.folder}: {each.failure.message if each.failure else 'why, was not written'}"
        for each in found
        if each.state == State.FAILED
    )


def _newer(file: Path, other: Path) -> bool:
    try:
        return file.stat().st_mtime_ns > other.stat().st_mtime_ns
    except OSError:
        return False
