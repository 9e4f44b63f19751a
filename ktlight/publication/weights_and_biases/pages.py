"""Logging pages to Weights & Biases: tables, figures and the page itself."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktlight.publication.content import Page, TableColumn
from ktlight.publication.weights_and_biases.tracking import Tracked

if TYPE_CHECKING:
    from pandas import DataFrame

MOST_ROWS = 100_000
"""W&B shows no more rows of a table."""
CHARTS = {
    "success": ("success", "bar", "method", "median_success", "Median success by method"),
    "delta_against_difference": ("pairs", "scatter", "difference", "delta", "Delta against performance difference"),
    "gain_and_loss": ("pairs", "scatter", "loss", "gain", "Knowledge gain and loss"),
}
"""Charts that W&B draws itself, in Vega, from a table of a report: table, kind, x, y, title."""


@contextmanager
def report_run(project: str, name: str, folder: Path, group: str | None = None) -> Iterator[Tracked]:
    """Yield a W&B run for a report, and end it; whatever goes wrong with it is only told of.

    Args:
        project: The W&B project.
        name: Of the run there.
        folder: Where its files go.
        group: Of the runs that it reports on.
    """
    tracked = Tracked(folder, project=project, name=name, group=group, job_type="report")
    try:
        yield tracked
    finally:
        tracked.end()


def log_page(run: Any, page: Page, file: Path) -> None:
    """Log what a page shows: its tables, its figures, and the whole of it as HTML.

    Args:
        run: The W&B run.
        page: The page.
        file: Where it was written.
    """
    import wandb

    tables = {f"tables/{heading}": _table(columns) for heading, columns in page.tables.items()}
    figures = {f"figures/{figure.name}": wandb.Html(figure.svg, inject=False) for figure in page.figures}
    run.log({**tables, **figures, "page": wandb.Html(file.read_text(), inject=False)})


def log_report(run: Any, tables: "dict[str, DataFrame]", page: Page, file: Path) -> None:
    """Log a report: the same, with all of its tables, and charts that W&B draws from them.

    The Vega specifications in its folder ``figures`` become an artifact: W&B's editor of custom charts takes them.

    Args:
        run: The W&B run.
        tables: Of the report, by name.
        page: Its page.
        file: Where that was written.
    """
    import wandb

    log_page(run, page, file)
    logged = {name: wandb.Table(dataframe=table.head(MOST_ROWS)) for name, table in tables.items()}
    draw = {"bar": wandb.plot.bar, "scatter": wandb.plot.scatter}
    charts = {
        f"charts/{name}": draw[kind](logged[table], x, y, title=title)
        for name, (table, kind, x, y, title) in CHARTS.items()
        if table in tables
    }
    run.log({**{f"tables/{name}": table for name, table in logged.items()}, **charts})
    artifact = wandb.Artifact("report", type="report")
    for specification in sorted((file.parent / "figures").glob("*.vega.json")):
        artifact.add_file(str(specification))
    run.log_artifact(artifact)


def _table(columns: Sequence[TableColumn]) -> Any:
    import wandb

    rows = zip(*(map(_cell, column.cells) for column in columns), strict=True)
    return wandb.Table(columns=[column.heading for column in columns], data=list(map(list, islice(rows, MOST_ROWS))))


def _cell(cell: Any) -> Any:
    """Return what stands in a cell: of a link its text, of an interval both ends."""
    if isinstance(cell, list | tuple):
        return cell[0] if isinstance(cell[0], str) else f"{cell[0]:.2f} to {cell[1]:.2f}"
    return cell
