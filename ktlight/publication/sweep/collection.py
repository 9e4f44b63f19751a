"""Everything that a report is about, read from run folders."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ktlight.errors import UserError
from ktlight.publication.sweep import statistics
from ktlight.publication.sweep.transfers import transfer_table
from ktlight.report.discovery import Discovery, read_discovery
from ktlight.report.runs import Finished, Unreadable, read_runs

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class Collection:
    """Finished transfers and discoveries, and what was left out.

    Attributes:
        runs: The transfers, `ktlight.publication.sweep.transfers.transfer_table`.
        repeated: How many transfers repeat another to the last bit; they are counted once.
        others: How many runs of other tasks there are, by task; earlier reports do not count.
        discoveries: The discoveries.
        left_out: Folders that could not be read, with the reason.
        versions: The versions of the packages that the figures depend on, one text for each combination.
    """

    runs: "DataFrame"
    repeated: int = 0
    others: Counter[str] = field(default_factory=Counter)
    discoveries: Sequence[Discovery] = ()
    left_out: Sequence[Unreadable] = ()
    versions: Sequence[str] = ()

    @cached_property
    def trained(self) -> "DataFrame":
        """The runs that trained a student; ensembles do not count as transfers."""
        return self.runs[self.runs["epochs"] > 0]

    @cached_property
    def pairs(self) -> "DataFrame":
        """One row per method and pair."""
        return statistics.pair_table(self.runs)

    @cached_property
    def students(self) -> "DataFrame":
        """One row per method and student."""
        return statistics.student_table(self.pairs)

    @cached_property
    def success(self) -> "DataFrame":
        """One row per method."""
        return statistics.success_table(self.pairs)

    @cached_property
    def differences(self) -> "DataFrame":
        """One row per two methods."""
        return statistics.difference_table(self.pairs)

    @cached_property
    def missing(self) -> "DataFrame":
        """What is absent from the grid."""
        return statistics.missing_table(self.runs)

    def of(self, samples: str) -> "Collection":
        """Return the transfers that were measured on the same samples."""
        return Collection(self.runs[self.runs["samples"] == samples])


def collect(folders: Iterable[Path], *, predictions: bool = True) -> Collection:
    """Read all runs below some folders.

    Args:
        folders: The folders.
        predictions: Whether to read the predictions of the transfers too, for the rates by class.
    """
    finished, unreadable = read_runs(folders)
    discoveries, broken = _discoveries(finished)
    runs = transfer_table(finished, predictions=predictions)
    tasks = Counter(run.results["task"] for run in finished)
    versions = Counter(
        ", ".join(f"{name} {each}" for name, each in run.results["versions"].items()) for run in finished
    )
    return Collection(
        runs,
        repeated=tasks["transfer"] - len(runs),
        others=Counter({task: count for task, count in tasks.items() if task not in ("transfer", "report")}),
        discoveries=discoveries,
        left_out=[*unreadable, *broken],
        versions=[f"{count} runs: {text}" for text, count in versions.most_common()],
    )


def _discoveries(finished: Sequence[Finished]) -> tuple[list[Discovery], list[Unreadable]]:
    discoveries, broken = [], []
    for run in finished:
        if run.results["task"] == "discover":
            try:
                discoveries.append(read_discovery(run.folder))
            except UserError as error:
                broken.append(Unreadable(run.folder, str(error)))
    return discoveries, broken
