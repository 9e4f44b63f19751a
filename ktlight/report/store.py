"""The table of the store's entries."""

import time
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.markup import escape

from ktlight.report.layout import Column, console_for_tables, fitted


def print_entries(entries: Sequence[Mapping[str, Any]], root: Path) -> None:
    """Print the entries of the store, one row per model and data set.

    Args:
        entries: Result of `ktlight.store.upkeep.describe`.
        root: Folder of the store.
    """
    same = ("model", "weights", "data", "form", "precision", "rows", "columns")
    ordered = sorted(entries, key=lambda entry: _pick(entry, same))
    groups = [list(group) for _, group in groupby(ordered, lambda entry: _pick(entry, same))]
    first = [group[0] for group in groups]
    sizes = [sum(int(entry["bytes"]) for entry in group) for group in groups]
    used = [time.localtime(max(entry["used"] for entry in group)) for group in groups]
    columns = [
        Column("model", [entry["model"] for entry in first], right=False, fold=30),
        Column("weights", [entry["weights"][:8] for entry in first], right=False),
        Column("data", [entry["data"][:8] for entry in first], right=False),
        Column("form", [entry["form"] for entry in first], spare=2, right=False),
        Column("precision", [entry["precision"] for entry in first], spare=3, right=False),
        Column("views", [str(len(group)) if group[0]["view"] >= 0 else "test" for group in groups]),
        Column("rows", [str(entry["rows"]) for entry in first]),
        Column("columns", [str(entry["columns"]) for entry in first], spare=4),
        Column("MB", [f"{size / 1e6:.2f}" for size in sizes]),
        Column("last used", [time.strftime("%Y-%m-%d %H:%M", each) for each in used], spare=1),
    ]
    console = console_for_tables()
    console.print(escape(f"stored outputs in {root}"))
    if entries:
        console.print(fitted(columns, console.width))
    console.print(f"{len(entries)} entries, {sum(sizes) / 1e9:.3f} GB")


def _pick(entry: Mapping[str, Any], names: Sequence[str]) -> tuple[Any, ...]:
    return tuple(entry[name] for name in names)
