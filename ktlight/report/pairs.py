"""What a discovery found, on the terminal."""

from collections.abc import Sequence
from typing import Any

from rich.markup import escape

from ktlight.report.discovery import Discovery
from ktlight.report.layout import Column, aligned, console_for_tables, fitted, said
from ktlight.report.table import percent, short

SHOWN = 10


def print_discovery(discovery: Discovery, next_step: str) -> None:
    """Print the most complementary pairs, the findings in words, and what to try next."""
    facts, console = discovery.facts, console_for_tables()
    models = len(facts["models"])
    console.print(escape(f"{models} models on {facts['num_eval']} images of {facts['data']} ({facts['evaluated_on']})"))
    rows = _rows(discovery)
    console.print(fitted(_flips(rows[:SHOWN]) if facts["labels"] else _agreement(rows[:SHOWN]), console.width))
    if len(rows) > SHOWN:
        console.print(f"the first {SHOWN} of {len(rows)} pairs; all are in pairs.parquet")
    for number, sentence in enumerate(facts["summary"]):
        said(console, sentence, "found   " if not number else "        ")
    for number, pair in enumerate(facts["best_pairs"]):
        low, high = pair["positive_flips_ci95_low"], pair["positive_flips_ci95_high"]
        text = (
            f"{pair['teacher']} -> {pair['student']}: {pair['positive_flips']:.2f}% ({low:.2f} to {high:.2f}) of the "
            f"images; teacher {percent(pair['acc_teacher'])}%, student {percent(pair['acc_student'])}%, the more "
            f"confident of both {percent(pair['acc_ensemble'])}%"
        )
        said(console, text, "try     " if not number else "        ")
    console.print(escape(f"folder  {short(discovery.folder)}"))
    console.print(escape(f"page    {short(discovery.folder)}/report.html"))
    console.print(escape(f"next    {next_step}"))


def _rows(discovery: Discovery) -> list[dict[str, Any]]:
    """Return the pairs to show: most positive flips first, or without labels least agreement, each pair once."""
    labels, baseline = discovery.facts["labels"], discovery.facts["baseline"]
    order = [("positive_flips", "descending")] if labels else [("agreement", "ascending")]
    rows: list[dict[str, Any]] = discovery.table("pairs").sort_by(order).to_pylist()
    number = {name: place for place, name in enumerate(discovery.facts["models"])}
    return [
        row
        for row in rows
        if baseline not in (row["teacher"], row["student"])
        and (labels or number[row["teacher"]] < number[row["student"]])
    ]


def _flips(rows: Sequence[dict[str, Any]]) -> list[Column]:
    intervals = [(row["positive_flips_ci95_low"], row["positive_flips_ci95_high"]) for row in rows]
    return [
        *_names(rows, "teacher", "student"),
        Column("only teacher", [percent(row["positive_flips"]) for row in rows]),
        Column("95% interval", [each.replace("+", "").strip() for each in aligned(intervals)], spare=1),
        Column("only student", [percent(row["negative_flips"]) for row in rows], spare=2),
        Column("together", [percent(row["acc_ensemble"]) for row in rows], spare=3),
        Column("kappa", [percent(row["error_consistency"]) for row in rows], spare=4),
    ]


def _agreement(rows: Sequence[dict[str, Any]]) -> list[Column]:
    return [
        *_names(rows, "one", "other"),
        Column("agreement", [percent(row["agreement"]) for row in rows]),
        Column("class drift", [percent(row["class_drift"]) for row in rows], spare=1),
    ]


def _names(rows: Sequence[dict[str, Any]], first: str, second: str) -> list[Column]:
    return [
        Column(first, [row["teacher"] for row in rows], right=False, fold=24),
        Column(second, [row["student"] for row in rows], right=False, fold=24),
    ]
