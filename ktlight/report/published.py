"""What a report prints: the table of methods, what is missing or was left out, and where the page is."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.markup import escape

from ktlight.report.layout import Column, aligned, console_for_tables, fitted
from ktlight.report.table import percent, short

SHOWN = 5
"""How many folders that were left out are named."""


def print_report(results: Mapping[str, Any], page: Path) -> None:
    """Print a report.

    Args:
        results: Those of ``task=report``.
        page: The file of its page.
    """
    console = console_for_tables()
    for samples, rows in groupby(results["success"], lambda row: row["samples"]):
        console.print(escape(f"{samples}: median success over students in %, mean delta over pairs"))
        console.print(fitted(_columns(list(rows)), console.width))
    for (samples, part), rows in groupby(results["claims"], lambda row: (row["samples"], row["part"])):
        measured = [row for row in rows if row["figure"]]
        of_it = " of the head alone" if part == "head" else ""
        console.print(escape(f"{samples}: claims{of_it}, with 95% intervals"))
        console.print(fitted(_claim_columns(measured), console.width))
    if results["missing"]:
        console.print(f"missing    {results['missing']} runs of the grid (tables/missing.csv)")
    for task, count in results["other_runs"].items():
        console.print(f"also read  {count} of task={task}")
    if results["repeated"]:
        console.print(f"once       {results['repeated']} runs repeat another and are counted once")
    left_out = results["left_out"]
    for each in left_out[:SHOWN]:
        console.print(escape(f"left out   {short(Path(each['folder']))}: {each['reason']}"))
    if len(left_out) > SHOWN:
        console.print(f"           and {len(left_out) - SHOWN} more (tables/left_out.csv)")
    folder = short(page.parent)
    console.print(escape(f"page       {folder}/{page.name}"))
    console.print(escape(f"files      {folder}/tables, {folder}/figures"))


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[Column]:
    def known(name: str) -> bool:
        return any(row.get(name) is not None for row in rows)

    intervals = [_interval(row) for row in rows]
    ours = [
        *([Column("95% interval", aligned(intervals))] if any(intervals) else []),
        Column("pairs", [_of(row) for row in rows]),
        Column("better", [_count(row, "better") for row in rows], spare=2),
        Column("worse", [_count(row, "worse") for row in rows], spare=2),
        Column("runs", [_count(row, "runs") for row in rows], spare=3),
    ]
    return [
        Column("method", [row["method"] for row in rows], right=False, fold=30),
        Column("success", [percent(row["median_success"]) for row in rows]),
        Column("students", [str(row["n"]) for row in rows]),
        Column("delta", [f"{row['mean_delta']:+.3f}" for row in rows]),
        *(ours if known("pairs") else []),
    ]


def _claim_columns(rows: Sequence[Mapping[str, Any]]) -> list[Column]:
    widths = {"claim": 26, "verdict": 13, "figure": 36}
    return [Column(name, [row[name] for row in rows], right=False, fold=width) for name, width in widths.items()]


def _interval(row: Mapping[str, Any]) -> tuple[float, float] | None:
    low, high = row.get("ci95_low"), row.get("ci95_high")
    return None if low is None or high is None else (low, high)


def _of(row: Mapping[str, Any]) -> str:
    """Return the number of pairs, of how many in the grid where some are missing."""
    if row.get("pairs") is None:
        return "-"
    pairs, of = int(row["pairs"]), int(row["pairs_in_grid"])
    return str(pairs) if pairs == of else f"{pairs} of {of}"


def _count(row: Mapping[str, Any], name: str) -> str:
    return "-" if row.get(name) is None else str(int(row[name]))
