"""The files and tables of a recommendation."""

from collections.abc import Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from ktlight.report.files import write_atomically
from ktlight.report.layout import Column, aligned, console_for_tables, fitted, said
from ktlight.report.table import short

RECOMMENDATIONS = "recommendations"
SCORES = "scores"
FINISHED = "finished"
EVALUATION = "evaluation"
EXPLAINED = 3
"""How many recommendations are explained on the terminal; the file has the reasons of all."""
NOTHING = "do nothing"


def write_rows(folder: Path, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write one of the tables above as a parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pylist([dict(row) for row in rows])
    write_atomically(folder / f"{name}.parquet", lambda temporary: pq.write_table(table, temporary))


def read_rows(folder: Path, name: str) -> list[dict[str, Any]]:
    """Return the rows of one of the tables above; none if there is no such file."""
    import pyarrow.parquet as pq

    file = folder / f"{name}.parquet"
    rows: list[dict[str, Any]] = pq.read_table(file).to_pylist() if file.exists() else []
    return rows


def print_recommendation(results: Mapping[str, Any], folder: Path) -> None:
    """Print the ranked list with reasons, how the scores did on finished runs, and what to do next."""
    console = console_for_tables()
    rows = read_rows(folder, RECOMMENDATIONS)
    title = f"who should teach {results['student']} on {results['data']}, and how: expected delta in points"
    console.print(escape(title))
    console.print(fitted(_columns(rows), console.width))
    for row in rows[:EXPLAINED]:
        said(console, row["reason"], f"why {row['rank']}      ")
    said(console, results["basis"], "by         ")
    print_evaluation(console, read_rows(folder, EVALUATION))
    console.print(escape(f"folder     {short(folder)}"))
    stay = "keep the student as it is, or compare further models=[...] and methods=[...]"
    console.print(escape(f"next       {results['command'] or stay}"))


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[Column]:
    intervals = [(row["ci95_low"], row["ci95_high"]) if row["teacher"] else None for row in rows]
    return [
        Column("", [str(row["rank"]) for row in rows]),
        Column("teacher", [row["teacher"] or "-" for row in rows], right=False, fold=24),
        Column("method", [row["method"] for row in rows], right=False, fold=16),
        Column("delta", [f"{row['expected_delta']:+.2f}" for row in rows]),
        Column("95% interval", aligned(intervals)),
        Column("P(gain)", [f"{row['probability_of_gain']:.2f}" for row in rows], spare=1),
        Column("passes", [_count(row["forward_passes"]) for row in rows], spare=3),
        Column("seconds", [f"{row['seconds']:.0f}" for row in rows], spare=2),
    ]


def _count(passes: int) -> str:
    """Return a large number of forward passes in a few characters.

    >>> _count(0), _count(54_321), _count(1_080_000)
    ('0', '54k', '1.1M')
    """
    return f"{passes / 1e6:.1f}M" if passes >= 1e6 else f"{passes / 1e3:.0f}k" if passes >= 1e3 else str(passes)


def print_evaluation(console: Console, verdicts: Sequence[Mapping[str, Any]]) -> None:
    """Print how each score did on finished runs, the smallest regret first."""
    for left_out in dict.fromkeys(verdict["left_out"] for verdict in verdicts):
        of_kind = [each for each in verdicts if each["left_out"] == left_out]
        rows = sorted(of_kind, key=lambda each: each["regret_first"])
        console.print(
            f"on {rows[0]['runs']} finished runs of {rows[0]['students']} students, every {left_out} left out in turn"
        )
        columns = [
            Column("score", [row["score"] for row in rows], right=False, fold=22),
            _numbers("rank corr.", rows, "spearman"),
            _numbers("tau", rows, "kendall", spare=3),
            _numbers("regret", rows, "regret_first"),
            _numbers("of 3", rows, "regret_best_of_three"),
            _numbers("Brier", rows, "brier", spare=1),
            _numbers("covers", rows, "coverage", places=0, spare=2),
            _numbers("p", rows, "p_static", spare=4),
        ]
        console.print(fitted(columns, console.width))


def _numbers(heading: str, rows: Sequence[Mapping[str, Any]], name: str, places: int = 2, spare: int = 0) -> Column:
    cells = ["-" if isnan(row[name]) else f"{row[name]:.{places}f}" for row in rows]
    return Column(heading, cells, spare)
