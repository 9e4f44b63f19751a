"""The comparison of many transfers as a table for reading."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.markup import escape

from ktlight.functional.statistics import mean_interval
from ktlight.report.layout import Column, aligned, console_for_tables, fitted, needed, said
from ktlight.report.settings import Setup, constant, settings, setups, short_names
from ktlight.report.table import WITHIN_NOISE, percent, short

ACCURACIES = {"before": "before", "teacher": "teacher", "ensemble": "ensemble", "ensemble_mean": "by mean"}
"""Accuracies known before training, and their headings."""
SPARE = {"taught by t.": 9, "loss": 8, "gain": 7, "by mean": 5, "ensemble": 4, "teacher": 3, "before": 2,
         "after": 1}  # fmt: skip
"""Columns dropped when space is short, the highest number first; comparison.csv has them all."""
LOWEST_TO_HIGHEST = "lowest to highest"
WIDEST = 40
"""Longer option values, such as paths, wrap to the next line."""


def print_comparison(runs: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Print transfers side by side, the best first, one row per setup, averaged over seeds.

    Options that vary have a column; values shared by all rows are printed above the table.

    Args:
        runs: The results of each run, with its further ``options`` by name, and its ``folder``.
        folder: Where the runs are.
    """
    console = console_for_tables()
    rows = sorted(setups(runs), key=lambda setup: -_mean(setup, "transfer_delta"))
    figures = figure_columns(rows)
    same = {column.name: column.cells[0] for column in figures if column.name in ACCURACIES.values() and _equal(column)}
    said(console, _heading(runs, same))
    different = [column for column in figures if column.name not in same]
    console.print(fitted(_table_columns(rows, different, console.width), console.width))
    _print_conclusion(console, runs, rows)
    console.print(f"folder   {escape(short(folder))} (comparison.csv has every figure of every run)")


def figure_columns(rows: Sequence[Setup]) -> list[Column]:
    """Return the formatted figures of each setup, averaged over its seeds."""
    seeds = any(len(row.runs) > 1 for row in rows)
    deltas = [[run["transfer_delta"] for run in row.runs] for row in rows]
    columns = {
        **({"seeds": [str(len(row.runs)) for row in rows]} if seeds else {}),
        **{name: [percent(_mean(row, f"acc_{field}")) for row in rows] for field, name in ACCURACIES.items()},
        "after": [percent(_mean(row, "acc_after")) for row in rows],
        "delta": [f"{fmean(each):+.2f}" for each in deltas],
        **({LOWEST_TO_HIGHEST: aligned([spread(row) for row in rows])} if seeds else {}),
        "95% interval": aligned([interval(row) for row in rows]),
        "gain": [percent(_mean(row, "knowledge_gain")) for row in rows],
        "loss": [percent(_mean(row, "knowledge_loss")) for row in rows],
        "taught by t.": [percent(_mean(row, "teacher_share")) for row in rows],
    }
    remarks = [remark(row) for row in rows]
    last = [Column("", remarks, right=False)] if any(remarks) else []
    spare = {**SPARE, "95% interval": 6} if seeds else SPARE
    return [*(Column(name, cells, spare.get(name, 0)) for name, cells in columns.items()), *last]


def interval(setup: Setup) -> tuple[float, float] | None:
    """Return the 95% interval of the delta: over the samples for one run, over the seeds for several.

    Two seeds have none: it would be 13 times as wide as their standard error.
    """
    if len(setup.runs) == 1:
        low, high = setup.runs[0]["transfer_delta_ci95"]
        return low, high
    deltas = [run["transfer_delta"] for run in setup.runs]
    return mean_interval(deltas) if len(deltas) > 2 else None


def spread(setup: Setup) -> tuple[float, float]:
    """Return the lowest and the highest delta of a setup."""
    deltas = [run["transfer_delta"] for run in setup.runs]
    return min(deltas), max(deltas)


def remark(setup: Setup) -> str:
    """Return a remark if nothing was trained, or if the delta may be due to the choice of seeds or samples."""
    if not _trained(setup):
        return "no training"
    samples = [fmean(run["transfer_delta_ci95"][end] for run in setup.runs) for end in (0, 1)]
    ranges = (samples, spread(setup), interval(setup) or samples)
    return WITHIN_NOISE if any(low <= 0 <= high for low, high in ranges) else ""


def option_columns(rows: Sequence[Setup]) -> list[Column]:
    """Return one column per varying option."""
    short = short_names(list(rows[0].values))
    columns = []
    for name, heading in short.items():
        cells = [row.values[name] for row in rows]
        numbers = all(_is_number(cell) for cell in cells)
        columns.append(Column(heading, cells, right=numbers, fold=None if numbers else WIDEST))
    return columns


def _table_columns(rows: Sequence[Setup], figures: Sequence[Column], width: int) -> list[Column]:
    """Return all columns; options that do not fit next to the delta are merged into one column."""
    options = option_columns(rows)
    if needed([*options, *(column for column in figures if not column.spare)]) > width:
        options = [Column("options", [_told(row) for row in rows], right=False, fold=WIDEST)]
    return [*options, *figures]


def _heading(runs: Sequence[Mapping[str, Any]], same: Mapping[str, str]) -> str:
    sizes = sorted({run["num_eval"] for run in runs})
    samples = str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    shared = [f"{name}={value}" for name, value in constant([settings(run) for run in runs]).items()]
    count = f"{len(runs)} transfers" if len(runs) > 1 else "1 transfer"
    accuracies = ", ".join(f"{name} {value}" for name, value in same.items())
    return f"{' '.join([f'{count},', *shared])}; in % of {samples} held-out samples" + (
        f"; {accuracies}" if accuracies else ""
    )


def _print_conclusion(console: Console, runs: Sequence[Mapping[str, Any]], rows: Sequence[Setup]) -> None:
    """Print the success rate, and the best setup with its caveats; ensembles do not count as transfers."""
    trained = [run for run in runs if run["epochs"]]
    if not trained:
        return
    success = sum(run["transfer_delta"] > 0 for run in trained)
    console.print(f"success  {100 * success / len(trained):.0f}% ({success} of {len(trained)} deltas above 0)")
    candidates = [row for row in rows if _trained(row)]
    if len(candidates) == 1:
        return
    best, several = candidates[0], len(candidates[0].runs) > 1
    low, high = spread(best) if several else best.runs[0]["transfer_delta_ci95"]
    over = f" over {len(best.runs)} seeds" if several else ""
    parts = [f"{low:+.2f} to {high:+.2f}{over}", *filter(None, [remark(best)])]
    console.print(escape(f"best     {_told(best)}: {_mean(best, 'transfer_delta'):+.2f} ({', '.join(parts)})"))
    for run in best.runs:
        console.print(escape(f"         {short(Path(run['folder']))}"))
    if _mean(best, "transfer_delta") > 0:
        said(console, _caution(len(candidates), best.runs[0]["evaluated_on"]), "note     ")


def _caution(count: int, measured_on: str) -> str:
    if measured_on == "holdout":
        return f"the best of {count} was chosen on held-out training images: measure it with data.evaluate_on=val"
    return (
        f"the best of {count} was chosen on the samples it is measured on, which flatters it; to choose on held-out "
        "training images: data.holdout=0.2 data.evaluate_on=holdout"
    )


def _told(setup: Setup) -> str:
    names = short_names(list(setup.values))
    return " ".join(f"{names[name]}={value}" for name, value in setup.values.items())


def _mean(setup: Setup, field: str) -> Any:
    values = [run[field] for run in setup.runs]
    return None if None in values else fmean(values)


def _trained(setup: Setup) -> bool:
    return any(run["epochs"] for run in setup.runs)


def _equal(column: Column) -> bool:
    return len(set(column.cells)) == 1


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text in ("null", "-")
    return True
