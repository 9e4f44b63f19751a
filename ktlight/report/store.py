"""The table of the store's entries."""

import time
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.table import Table

from ktlight.report.table import console_for_tables


def print_entries(entries: Sequence[Mapping[str, Any]], root: Path) -> None:
    """Print the entries of the store, one row per model and data set.

    Args:
        entries: Result of `ktlight.store.upkeep.describe`.
        root: Folder of the store.
    """
    table = Table(title=f"stored outputs in {root}")
    for name in ("model", "weights", "data", "form", "precision"):
        table.add_column(name)
    for name in ("views", "rows", "columns", "MB", "last used"):
        table.add_column(name, justify="right")
    same = ("model", "weights", "data", "form", "precision", "rows", "columns")
    total = 0
    for facts, group in groupby(sorted(entries, key=lambda entry: _pick(entry, same)), lambda e: _pick(e, same)):
        views = list(group)
        size = sum(int(entry["bytes"]) for entry in views)
        total += size
        model, weights, data, form, precision, rows, columns = facts
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(max(entry["used"] for entry in views)))
        numbers = str(len(views)) if views[0]["view"] >= 0 else "test"
        table.add_row(
            model, weights[:8], data[:8], form, precision, numbers, str(rows), str(columns), f"{size / 1e6:.2f}", used
        )
    console = console_for_tables()
    console.print(table)
    console.print(f"{len(entries)} entries, {total / 1e9:.3f} GB")


def _pick(entry: Mapping[str, Any], names: Sequence[str]) -> tuple[Any, ...]:
    return tuple(entry[name] for name in names)
