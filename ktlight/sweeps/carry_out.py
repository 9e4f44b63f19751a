"""Carries out the jobs of a sweep: what is left of them, in which order, and what is repeated.

Nothing here starts a process: Hydra's launcher does, and it returns when its jobs are over. What became of them, their
folders say, since a launcher that loses a job drops what the others returned.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ktlight.errors import UserError
from ktlight.report.failure import Failure
from ktlight.report.plan import Job
from ktlight.report.state import State
from ktlight.sweeps.standing import Standing, standing, standings

Launch = Callable[[Sequence[Job]], Exception | None]
"""Runs jobs until they are over, and returns what made the launcher stop before, if anything did."""
Needs = Mapping[str, Collection[str]]
"""By the folder of a run, those of the jobs that prepare its models."""
ATTEMPTS: Mapping[str, int] = {"input/output": 3, "memory": 2}
"""How often a run that fails in such a way is tried unasked."""
DISK = "input/output"
"""A command given again is somebody's word that there is room now."""


class Rules(NamedTuple):
    """What a sweep does and does not do.

    Attributes:
        resume: Whether what is done is left out, and what was interrupted goes on.
        retry: Whether runs that failed are repeated, whatever the reason.
        stop_after: The rest is not started if the first so many jobs fail alike; None: all are started at once.
        restart: Whether jobs that a launcher lost are started again: not where they may be waiting in a queue.
        at_a_time: How many jobs run at a time: so that none of these places is empty, the first are a multiple of it.
    """

    resume: bool
    retry: bool = False
    stop_after: int | None = None
    restart: bool = False
    at_a_time: int = 1

    def first(self, jobs: int) -> int:
        """Return how many of so many jobs are started before the rest; 0: all are started at once.

        >>> Rules(True, stop_after=3, at_a_time=2).first(100), Rules(True, stop_after=3, at_a_time=2).first(4)
        (4, 0)
        """
        several = 0 if self.stop_after is None else -(-self.stop_after // self.at_a_time) * self.at_a_time
        return several if several < jobs else 0


class Stopped(UserError):  # noqa: N818
    """The first jobs failed alike, or none could be started, so the rest were not."""


def carry_out(folder: Path, jobs: Sequence[Job], needs: Needs, launch: Launch, rules: Rules) -> None:
    """Run what is left of a sweep.

    Args:
        folder: Of the sweep.
        jobs: Its jobs.
        needs: What its runs need first.
        launch: Runs jobs.
        rules: What to do.

    Raises:
        Stopped: The rest were not started.
    """
    prepare = to_prepare(folder, jobs, needs, rules)
    _phase(folder, prepare, launch, rules)
    broken = {each.job.folder for each in standings(folder, prepare) if each.state == State.FAILED}
    runs = [job for job in jobs if not job.prepares and not broken.intersection(needs.get(job.folder, ()))]
    _phase(folder, runs, launch, rules)


def to_prepare(folder: Path, jobs: Sequence[Job], needs: Needs, rules: Rules) -> list[Job]:
    """Return the jobs that prepare what runs still need; those that are done are among them."""
    runs = [job for job in jobs if not job.prepares]
    wanted = {needed for job in due(standings(folder, runs), rules) for needed in needs.get(job.folder, ())}
    return [job for job in jobs if job.folder in wanted]


def due(found: Sequence[Standing], rules: Rules) -> list[Job]:
    """Return the jobs that are to be run."""
    return [each.job for each in found if not rules.resume or _is_due(each, rules.retry)]


def _is_due(found: Standing, retry: bool) -> bool:
    if found.state == State.FAILED:
        return retry or found.kind == DISK or _has_attempts(found.failure)
    return found.state in (State.ABSENT, State.INTERRUPTED)


def _has_attempts(failure: Failure | None) -> bool:
    """Return whether a run that failed is tried again unasked; one whose reason could not be written is."""
    return failure is None or failure.attempts < ATTEMPTS.get(failure.kind, 0)


def _phase(folder: Path, jobs: Sequence[Job], launch: Launch, rules: Rules) -> None:
    found = standings(folder, jobs)
    left = due(found, rules)
    alone = [each.job for each in found if each.kind == "memory" and each.job in left and not rules.retry]
    together = [job for job in left if job not in alone]
    begun = any(each.state == State.DONE for each in found)
    first = 0 if begun else rules.first(len(together))
    if first:
        _start(folder, together[:first], launch, rules)
        _check_first(folder, together[:first], len(together) - first, rules)
    _start(folder, together[first:], launch, rules)
    for _ in range(max(ATTEMPTS.values()) - 1):
        again = [each for each in standings(folder, together, not rules.resume) if _to_repeat(each)]
        _start(folder, [each.job for each in again if each.kind != "memory"], launch, rules)
        alone += [each.job for each in again if each.kind == "memory" and each.job not in alone]
    for job in alone:
        _start(folder, [job], launch, rules)


def _to_repeat(found: Standing) -> bool:
    return found.failure is not None and _has_attempts(found.failure)


def _check_first(folder: Path, jobs: Sequence[Job], rest: int, rules: Rules) -> None:
    kinds = {(each.state, each.kind) for each in standings(folder, jobs, not rules.resume)}
    state, kind = next(iter(kinds))
    if len(kinds) == 1 and state == State.FAILED and kind not in ATTEMPTS:
        raise Stopped(
            f"the first {len(jobs)} jobs failed alike, so the other {rest} were not started "
            "(sweep.stop_after=null starts them all)"
        )


def _start(folder: Path, jobs: Sequence[Job], launch: Launch, rules: Rules) -> None:
    """Run jobs; those that went down with the launcher once more, each alone, so that it takes no other with it.

    Raises:
        Stopped: The launcher could not start any.
    """
    lost: list[Job] = []
    left = list(jobs)
    while left and (error := launch(left)) is not None:
        after = [standing(folder, job, not rules.resume) for job in left]
        waiting = [each.job for each in after if each.state == State.ABSENT]
        if len(waiting) == len(left):
            raise Stopped(f"the launcher could not start any job: {type(error).__name__}: {error}") from error
        if not (rules.restart and rules.resume):
            return
        lost += [each.job for each in after if each.state in (State.INTERRUPTED, State.RUNNING)]
        left = waiting
    for job in lost:
        launch([job])
