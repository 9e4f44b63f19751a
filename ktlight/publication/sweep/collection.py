"""Everything that a report is about, read from run folders and from tables of runs."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ktlight.errors import UserError
from ktlight.publication.sweep import statistics
from ktlight.publication.sweep.claims import claim_table
from ktlight.publication.sweep.kinds import guard_table, kind_table
from ktlight.publication.sweep.rows import Row, rows_of, versions
from ktlight.publication.sweep.saved import saved_rows
from ktlight.publication.sweep.transfers import transfer_table
from ktlight.report.discovery import Discovery, read_discovery
from ktlight.report.runs import Finished, Unreadable, read_runs

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class Collection:
    """Finished transfers and discoveries, and what was left out.

    Attributes:
        runs: The measurements of the transfers, `ktlight.publication.sweep.transfers.transfer_table`.
        repeated: How many transfers repeat another to the last bit; they are counted once.
        others: How many runs of other tasks there are, by task; earlier reports do not count.
        discoveries: The discoveries.
        left_out: Folders and csv files that could not be read, with the reason.
        versions: The versions of the packages that the figures depend on, one text for each combination.
        tables: The csv files that were read.
    """

    runs: "DataFrame"
    repeated: int = 0
    others: Counter[str] = field(default_factory=Counter)
    discoveries: Sequence[Discovery] = ()
    left_out: Sequence[Unreadable] = ()
    versions: Sequence[str] = ()
    tables: Sequence[Path] = ()

    @cached_property
    def trained(self) -> "DataFrame":
        """The measurements of trained students; ensembles do not count as transfers."""
        return self.runs[self.runs["epochs"] > 0]

    @cached_property
    def trainings(self) -> "DataFrame":
        """One row per training, as it was without its guard."""
        return self.trained[self.trained["guard"] == "off"]

    @cached_property
    def pairs(self) -> "DataFrame":
        """One row per method and pair."""
        return statistics.pair_table(self.runs)

    @cached_property
    def taught(self) -> "DataFrame":
        """The pairs without the controls, which have no teacher."""
        return self.pairs[self.pairs["teachers"] > 0]

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
    def kinds(self) -> "DataFrame":
        """One row per method and kind of teacher."""
        return kind_table(self.runs, self.pairs)

    @cached_property
    def guards(self) -> "DataFrame":
        """One row per method and guard."""
        return guard_table(self.trained)

    @cached_property
    def claims(self) -> "DataFrame":
        """One row per claim."""
        return claim_table(self.runs, self.pairs)

    @cached_property
    def missing(self) -> "DataFrame":
        """What is absent from the grid."""
        return statistics.missing_table(self.runs)

    @cached_property
    def parts(self) -> dict[str, "Collection"]:
        """The transfers that were measured on the same samples, by these."""
        return {str(samples): Collection(runs) for samples, runs in self.runs.groupby("samples", sort=False)}


def collect(folders: Iterable[Path], tables: Sequence[Path] = ()) -> Collection:
    """Read all runs below some folders, and those in some tables of runs; a run in both counts once.

    Args:
        folders: The folders.
        tables: csv files, ``tables/runs.csv`` of earlier reports.
    """
    finished, unreadable = read_runs(folders)
    discoveries, broken = _discoveries(finished)
    saved, unusable = _saved(tables)
    of_folders = [row for run in finished if run.results["task"] == "transfer" for row in rows_of(run)]
    rows = [*of_folders, *saved]
    runs = transfer_table(rows)
    others = [run.results for run in finished if run.results["task"] != "transfer"]
    tasks = Counter(results["task"] for results in others)
    told = Counter([*map(versions, others), *runs["versions"][runs["guard"] == "off"]])
    return Collection(
        runs,
        repeated=_measured_without_guard(rows) - int((runs["guard"] == "off").sum()),
        others=Counter({task: count for task, count in tasks.items() if task != "report"}),
        discoveries=discoveries,
        left_out=[*unreadable, *broken, *unusable],
        versions=[f"{count} runs: {text}" for text, count in told.most_common()],
        tables=[file for file in tables if file not in {each.folder for each in unusable}],
    )


def _measured_without_guard(rows: Sequence[Row]) -> int:
    """Return the number of trainings: each has one such row."""
    return sum(row["guard"] == "off" for row in rows)


def _saved(tables: Sequence[Path]) -> tuple[list[Row], list[Unreadable]]:
    rows: list[Row] = []
    unusable = []
    for file in tables:
        try:
            rows += saved_rows(file)
        except UserError as error:
            unusable.append(Unreadable(file, str(error)))
    return rows, unusable


def _discoveries(finished: Sequence[Finished]) -> tuple[list[Discovery], list[Unreadable]]:
    discoveries, broken = [], []
    for run in finished:
        if run.results["task"] == "discover":
            try:
                discoveries.append(read_discovery(run.folder))
            except UserError as error:
                broken.append(Unreadable(run.folder, str(error)))
    return discoveries, broken
