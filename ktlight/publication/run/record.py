"""What the folder of a finished transfer holds, read for its page."""

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

TEACHER = re.compile(r"teacher\d*")


@dataclass(frozen=True)
class RunRecord:
    """A finished transfer.

    Attributes:
        results: The fields of ``results.json``; see `ktlight.report.schema.Transfer`.
        columns: Those of ``predictions.parquet``, ``[n]`` each.
        curves: Columns ``epoch`` (1 is the first, one stage after another), ``panel``, ``series`` and ``value``.
        config: The resolved config.
        environment: Versions, machine, command.
    """

    results: dict[str, Any]
    columns: dict[str, NDArray[Any]]
    curves: dict[str, list[Any]]
    config: str
    environment: str

    @property
    def teachers(self) -> list[str]:
        """The roles of the teachers."""
        return [role for role in self.results["models"] if TEACHER.fullmatch(role)]

    def right(self, column: str) -> NDArray[np.bool_]:
        """Return where a column of predictions is right, ``[n]``."""
        right: NDArray[np.bool_] = self.columns[column] == self.columns["label"]
        return right

    def taught(self) -> NDArray[np.bool_]:
        """Return where any teacher is right, ``[n]``."""
        taught: NDArray[np.bool_] = np.any([self.right(role) for role in self.teachers], axis=0)
        return taught


def read_run(folder: Path) -> RunRecord:
    """Read the folder of a finished transfer."""
    table = pq.ParquetFile(folder / "predictions.parquet").read()
    return RunRecord(
        json.loads((folder / "results.json").read_text()),
        {name: np.from_dlpack(table[name].combine_chunks()) for name in table.column_names},  # to_numpy loads pandas
        _curves(folder),
        (folder / "config.yaml").read_text(),
        (folder / "environment.json").read_text(),
    )


def _curves(folder: Path) -> dict[str, list[Any]]:
    """Return the curves of the run, or those of its stages, as one row a value."""
    files = [file for file in (folder / "curves.csv", *sorted(folder.glob("stages/*/curves.csv"))) if file.exists()]
    rows, done = [], 0
    for file in files:
        with file.open(newline="") as stream:
            epochs = list(csv.DictReader(stream))
        rows += [(done + int(row["epoch"]) + 1, *each) for row in epochs for each in _values(row)]
        done += len(epochs)
    names = ("epoch", "panel", "series", "value")
    return {name: [row[place] for row in rows] for place, name in enumerate(names)}


def _values(row: dict[str, str]) -> Iterator[tuple[str, str, float]]:
    """Yield panel, series and value of what a row of curves has; a term that is all of the loss is left out."""
    for name, text in row.items():
        kind, _, rest = name.partition("/")
        if not text or (kind == "train" and rest != "loss" and text == row["train/loss"]):
            continue
        if kind == "train":
            yield "loss", rest, float(text)
        elif kind == "val":
            yield "accuracy", rest.replace("acc_peer", "teacher ").replace("acc", "student"), float(text)
        elif TEACHER.match(rest) and not rest.endswith("neutral"):
            role, _, part = rest.partition("/")
            yield "share", f"{role}, {part.replace('_', ' ')}" if part else role, float(text)
