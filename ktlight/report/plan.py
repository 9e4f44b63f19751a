"""What a sweep is going to do, kept in its folder for whoever watches or repeats it."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ktlight.report.files import write_text

PLAN = "plan.json"
SCHEMA = 1


@dataclass(frozen=True)
class Job:
    """One job of a sweep.

    Attributes:
        folder: Of its run, below that of the sweep.
        overrides: The options that make it, as typed for a single run.
        prepares: Whether it only makes a model and stored outputs that several runs need.
    """

    folder: str
    overrides: tuple[str, ...]
    prepares: bool = False


def write_plan(folder: Path, jobs: Sequence[Job], launcher: str) -> None:
    """Write the jobs of a sweep, and by which launcher they were started last."""
    facts = {"schema": SCHEMA, "launcher": launcher, "jobs": [asdict(job) for job in jobs]}
    write_text(folder / PLAN, json.dumps(facts) + "\n")


def read_plan(folder: Path) -> list[Job] | None:
    """Return the jobs of the sweep in a folder; None if it has no plan, or one that cannot be read.

    A plan that leads out of the folder cannot be: it is nobody's way to look at other places.
    """
    try:
        facts = json.loads((folder / PLAN).read_text())
        jobs = [Job(job["folder"], tuple(job["overrides"]), job["prepares"]) for job in facts["jobs"]]
        inside = all(not Path(job.folder).is_absolute() and ".." not in Path(job.folder).parts for job in jobs)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return jobs if inside else None
