"""The comparison of many transfers as a CSV file for processing."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ktlight.report.files import write_atomically


def write_comparison(runs: Sequence[Mapping[str, Any]], file: Path) -> None:
    """Write the figures of all runs, one row per run; an interval becomes two columns, each option one column."""
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
        elif name == "options":
            yield from ((f"option {option}", typed) for option, typed in value.items())
        else:
            yield name, _cell(value)


def _cell(value: Any) -> Any:
    """Return what stands in a csv cell: words side by side, what has parts of its own as JSON."""
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return " ".join(value)
    return json.dumps(value) if isinstance(value, list | dict) else value
