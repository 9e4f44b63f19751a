"""The search for recipes, pooled from its rows: `python -m bench.recipes docs/results/searches/recipes.csv`.

A row of the csv file is one training, measured on training images that it did not see. Rows that differ by fold or seed
only are one line of the table: their samples count together, with the interval of Bonett and Price for paired
predictions. The table is Markdown.
"""

import argparse
import csv
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path

from ktlight.functional.statistics import paired_interval

SETTING = (
    "data", "n_train", "pretrain", "teacher", "student", "method", "steps", "batch", "optimizer", "lr", "wd", "decay",
    "warmup", "views", "padding", "averaging",
)  # fmt: skip


def pooled(rows: Iterable[Mapping[str, str]]) -> list[dict[str, str]]:
    """Return a line for each setting: the setting, numbers of trainings and samples, delta and interval in points."""

    def setting(row: Mapping[str, str]) -> tuple[str, ...]:
        return tuple(row[name] for name in SETTING)

    lines = []
    for facts, group in groupby(sorted(rows, key=setting), setting):
        members = list(group)
        gained, lost, total = (sum(int(row[name]) for row in members) for name in ("gained", "lost", "n"))
        low, high = paired_interval(gained, lost, total)
        lines.append({
            **dict(zip(SETTING, facts, strict=True)),
            "trainings": str(len(members)),
            "samples": str(total),
            "delta": f"{100 * (gained - lost) / total:+.2f}",
            "interval": f"{low:+.2f} to {high:+.2f}",
        })  # fmt: skip
    return lines


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="csv file of trainings")
    options = parser.parse_args(given)
    with options.file.open(newline="") as stream:
        lines = pooled(csv.DictReader(stream))
    shown = [*SETTING, "trainings", "samples", "delta", "interval"]
    varying = [name for name in shown if len({line[name] for line in lines}) > 1]
    print(f"{len(lines)} settings\n\n| {' | '.join(varying)} |\n|{'---|' * len(varying)}")
    for line in lines:
        print(f"| {' | '.join(line[name] for name in varying)} |")


if __name__ == "__main__":
    main()
