"""The comparison of many transfers: a table for reading and a CSV file for processing."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from ktlight.report.files import write_atomically
from ktlight.report.table import console_for_tables, noise, percent, short

WHAT = ("method", "teacher", "student", "data", "seed", "options")
ACCURACIES = ("before", "teacher", "ensemble", "ensemble_mean", "after")


def print_comparison(runs: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Print transfers side by side, one row per run; values shared by all of them go in the title.

    Args:
        runs: The results of each run, with its further ``options``.
        folder: Where the runs are.
    """
    varying = [name for name in WHAT if len({run[name] for run in runs}) > 1]
    same = " ".join(f"{name}={runs[0][name]}" for name in WHAT if name not in varying and runs[0][name] != "")
    sizes = sorted({run["num_eval"] for run in runs})
    samples = str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    table = Table(title=f"{len(runs)} transfers, {escape(same)}, in % of {samples} held-out samples")
    for name in varying:
        table.add_column(name)
    for name in (
        *(f"acc {name.replace('_', ' ')}" for name in ACCURACIES),
        "delta",
        "95% interval",
        "gain",
        "loss",
        "taught by t.",
    ):
        table.add_column(name, justify="right")
    table.add_column("")
    for run in runs:
        low, high = run["transfer_delta_ci95"]
        table.add_row(
            *(escape(str(run[name])) for name in varying),
            *(percent(run[f"acc_{name}"]) for name in ACCURACIES),
            f"{run['transfer_delta']:+.2f}", f"{low:+.2f} to {high:+.2f}",
            percent(run["knowledge_gain"]), percent(run["knowledge_loss"]), percent(run["teacher_share"]),
            noise(run).strip(" ()"),
        )  # fmt: skip
    console = console_for_tables()
    console.print(table)
    if trained := [run for run in runs if run["epochs"]]:  # ensembles do not count as transfers
        success = sum(run["transfer_delta"] > 0 for run in trained)
        console.print(f"success rate {100 * success / len(trained):.0f}% ({success} of {len(trained)} deltas above 0)")
    console.print(f"folder       {short(folder)} (comparison.csv has every figure)")


def write_comparison(runs: Sequence[Mapping[str, Any]], file: Path) -> None:
    """Write the figures of all runs, one row per run; an interval becomes two columns."""
    rows = [dict(_flat(run)) for run in runs]
    columns = list(dict.fromkeys(name for row in rows for name in row))

    def write(path: Path) -> None:
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, columns)
            writer.writeheader()
            writer.writerows(rows)

    write_atomically(file, write)


def _flat(run: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in run.items():
        if name.endswith("ci95"):
            yield from zip((f"{name}_low", f"{name}_high"), value, strict=True)
        else:
            yield name, _cell(value)


def _cell(value: Any) -> Any:
    """Return what stands in a csv cell: words side by side, what has parts of its own as JSON."""
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return " ".join(value)
    return json.dumps(value) if isinstance(value, list | dict) else value
