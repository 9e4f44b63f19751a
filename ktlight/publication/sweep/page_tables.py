"""The tables of the page of a sweep."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ktlight.publication.content import TableColumn
from ktlight.publication.sweep.collection import Collection
from ktlight.report.folder import PAGE

if TYPE_CHECKING:
    from pandas import DataFrame

Kind = Literal["text", "number", "count", "interval", "link"]
RUN_COLUMNS: dict[str, tuple[str, Kind]] = {
    "samples": ("data", "text"),
    "method": ("method", "text"),
    "teacher": ("teacher", "text"),
    "student": ("student", "text"),
    "seed": ("seed", "count"),
    "guard_share": ("kept by the guard", "number"),
    "batchnorm": ("BatchNorm statistics", "text"),
    "delta": ("delta", "number"),
    "acc_before": ("before", "number"),
    "acc_teacher": ("teacher's accuracy", "number"),
    "acc_after": ("after", "number"),
    "gain": ("gain", "number"),
    "loss": ("loss", "number"),
    "complementary_knowledge": ("complementary", "number"),
    "sample_rate_top100": ("transfer rate, samples", "number"),
    "class_rate_top100": ("transfer rate, classes", "number"),
    "teacher_kind": ("teacher's family", "text"),
    "student_kind": ("student's family", "text"),
    "teacher_params": ("teacher's parameters", "count"),
    "student_params": ("student's parameters", "count"),
    "epochs": ("epochs", "count"),
}
METHOD_COLUMNS: dict[str, tuple[str, Kind]] = {
    "method": ("method", "text"),
    "samples": ("data", "text"),
    "median_success": ("median success", "number"),
    "n": ("students", "count"),
    "mean_delta": ("mean delta", "number"),
    "pairs": ("pairs", "count"),
    "pairs_in_grid": ("pairs in the grid", "count"),
    "runs": ("runs", "count"),
    "better": ("better", "count"),
    "worse": ("worse", "count"),
    "mean_delta_common": ("mean delta, common pairs", "number"),
    "pairs_common": ("common pairs", "count"),
}
CLAIM_COLUMNS: dict[str, tuple[str, Kind]] = {
    "claim": ("claim", "text"),
    "samples": ("data", "text"),
    "part": ("part that learned", "text"),
    "verdict": ("verdict", "text"),
    "figure": ("figure, with 95% interval", "text"),
}
KIND_COLUMNS: dict[str, tuple[str, Kind]] = {
    "method": ("method", "text"),
    "samples": ("data", "text"),
    "teacher": ("teacher", "text"),
    "mean_delta": ("mean delta", "number"),
    "pairs": ("pairs", "count"),
    "success": ("success of the runs", "number"),
    "runs": ("runs", "count"),
    "better": ("runs better", "count"),
    "worse": ("runs worse", "count"),
    "mean_gain": ("gain", "number"),
    "mean_loss": ("loss", "number"),
}
GUARD_COLUMNS: dict[str, tuple[str, Kind]] = {
    "method": ("method", "text"),
    "samples": ("data", "text"),
    "guard": ("guard", "text"),
    "trainings": ("trainings", "count"),
    "mean_delta": ("mean delta without", "number"),
    "mean_delta_guarded": ("mean delta with", "number"),
    "success": ("success without", "number"),
    "success_guarded": ("success with", "number"),
    "worse": ("worse without", "count"),
    "worse_guarded": ("worse with", "count"),
    "mean_share": ("share kept", "number"),
}


def page_tables(collection: Collection, folder: Path, success: "DataFrame") -> dict[str, list[TableColumn]]:
    """Return the tables of a page by heading, those without a row left out.

    Args:
        collection: The runs.
        folder: Where the page will be, for the links to the runs' folders.
        success: The rows of the table of methods.
    """
    tables: dict[str, list[TableColumn]] = {}
    if len(success):
        tables["Methods"] = [*_columns(success, METHOD_COLUMNS), _interval(success, "ci95_low", "ci95_high")]
    if len(collection.claims):
        tables["Claims"] = _columns(collection.claims, _shown(collection, CLAIM_COLUMNS))
    if len(collection.kinds):
        shown = _columns(collection.kinds, _shown(collection, KIND_COLUMNS))
        tables["Kinds of teachers"] = [*shown, _interval(collection.kinds, "ci95_low", "ci95_high")]
    if len(collection.guards):
        tables["Guards"] = _columns(collection.guards, _shown(collection, GUARD_COLUMNS))
    if len(collection.runs):
        links = [[Path(run).name, _address(Path(run), folder)] for run in collection.runs["folder"]]
        tables["Runs"] = [
            *_columns(collection.runs, _shown(collection, RUN_COLUMNS)),
            _interval(collection.runs, "low", "high"),
            TableColumn("folder", "folder", "link", links),
        ]
    return tables


def _address(run: Path, folder: Path) -> str:
    """Return where the page of a run is, seen from a folder; nothing where a table is all that is left of the run.

    It is the run's folder where an earlier version wrote no page.
    """
    return os.path.relpath(run / PAGE if (run / PAGE).exists() else run, folder) if run.is_dir() else ""


def _columns(table: "DataFrame", columns: dict[str, tuple[str, Kind]]) -> list[TableColumn]:
    return [
        TableColumn(name, heading, kind, _cells(table[name]))
        for name, (heading, kind) in columns.items()
        if name in table
    ]


def _shown(collection: Collection, columns: dict[str, tuple[str, Kind]]) -> dict[str, tuple[str, Kind]]:
    """Return the columns, without that of the samples where all are the same."""
    several = collection.runs["samples"].nunique() > 1
    return {name: told for name, told in columns.items() if several or name != "samples"}


def _interval(table: "DataFrame", low: str, high: str) -> TableColumn:
    ends = zip(_cells(table[low]), _cells(table[high]), strict=True)
    cells = [None if None in pair else list(pair) for pair in ends]
    return TableColumn("interval", "95% interval of the delta", "interval", cells)


def _cells(column: Any) -> list[Any]:
    return [None if cell is None or cell != cell else cell for cell in column.tolist()]
