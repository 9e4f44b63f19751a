"""Writes a report: one page, its figures and its tables."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ktlight.publication import draw
from ktlight.publication.content import Figure, Page
from ktlight.publication.discovery.drawings import discovery_drawings
from ktlight.publication.page import write_page
from ktlight.publication.sweep import statistics
from ktlight.publication.sweep.collection import Collection, collect
from ktlight.publication.sweep.correlations import correlations
from ktlight.publication.sweep.drawings import Drawing, slug, sweep_drawings
from ktlight.publication.sweep.page import sweep_page
from ktlight.publication.sweep.paper import paper_success
from ktlight.publication.tables import write_table
from ktlight.report.files import write_atomically, write_text
from ktlight.report.folder import PAGE

if TYPE_CHECKING:
    from pandas import DataFrame

MOST_ROWS = 100_000
"""More missing runs than this are counted, not listed."""


@dataclass(frozen=True)
class Report:
    """What a report shows.

    Attributes:
        collection: The runs.
        drawings: The figures, in the order to read them.
        tables: The tables by name; ``success`` is always there.
    """

    collection: Collection
    drawings: Sequence[Drawing]
    tables: "dict[str, DataFrame]"


def report_of(collection: Collection, paper: "DataFrame | None" = None) -> Report:
    """Return the report of finished runs, beside the paper's students if given."""
    drawings = list(sweep_drawings(collection, paper))
    several = len(collection.discoveries) > 1
    for found in collection.discoveries:
        suffix = f"-{slug(found.folder.name)}" if several else ""
        drawings += [replace(each, name=each.name + suffix) for each in discovery_drawings(found)]
    return Report(collection, drawings, report_tables(collection, paper))


def report_tables(collection: Collection, paper: "DataFrame | None" = None) -> "dict[str, DataFrame]":
    """Return the tables of a report by name; an empty one is left out, but for ``success``."""
    import pandas as pd

    success, students = collection.success, collection.students
    if paper is not None:
        success = pd.concat([success, paper_success(paper)]) if len(success) else paper_success(paper)
        students = pd.concat([students, paper]) if len(students) else paper
    tables = {
        "claims": collection.claims,
        "kinds": collection.kinds,
        "guard": collection.guards,
        "runs": collection.runs,
        "pairs": collection.pairs,
        "students": students,
        "differences": collection.differences,
        "bins": statistics.binned(collection.pairs),
        "correlations": correlations(collection.pairs),
        "missing": collection.missing.head(MOST_ROWS),
        "left_out": pd.DataFrame([(str(each.folder), each.reason) for each in collection.left_out],
                                 columns=["folder", "reason"]),
    }  # fmt: skip
    return {"success": success, **{name: table for name, table in tables.items() if len(table)}}


def write_report(report: Report, folder: Path, title: str) -> Page:
    """Write the page, the figures and the tables to a folder; return the page.

    ``figures/*.vega.json`` is what the editors of Vega and of W&B's custom charts take.
    """
    figures = [_figure(drawing) for drawing in report.drawings]
    for figure, drawing in zip(figures, report.drawings, strict=True):
        file = folder / "figures" / drawing.name
        write_text(file.with_name(f"{file.name}.svg"), figure.svg)
        write_atomically(file.with_name(f"{file.name}.pdf"), partial(Path.write_bytes, data=draw.pdf(drawing.chart)))
        write_text(file.with_name(f"{file.name}.vega.json"), json.dumps(draw.vega(drawing.chart)))
    for name, table in report.tables.items():
        write_table(table, folder / "tables", name)
    page = sweep_page(report.collection, figures, folder, title, report.tables["success"])
    write_page(page, folder / PAGE)
    return page


def write_sweep_page(folder: Path) -> Page:
    """Write the page of the runs below a folder into it, and return it."""
    collection = collect([folder])
    figures = [_figure(drawing) for drawing in sweep_drawings(collection)]
    page = sweep_page(collection, figures, folder, f"Sweep {folder.name}", collection.success)
    write_page(page, folder / PAGE)
    return page


def _figure(drawing: Drawing) -> Figure:
    return Figure(drawing.name, drawing.title, drawing.caption, draw.svg(drawing.chart))
