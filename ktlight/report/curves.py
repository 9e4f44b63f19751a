"""The curves of a run as a CSV file, one row per epoch: the logger that is always on."""

import csv
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from ktlight.report.files import write_atomically


class Curves(Logger):
    """Collects the epoch metrics of a run in ``curves.csv``.

    Epochs repeated after an interruption replace their rows, so a resumed run leaves the same file as an uninterrupted
    one.

    Args:
        file: The CSV file; existing rows are kept if ``resume``.
        resume: Whether an interrupted run is being continued.
    """

    def __init__(self, file: Path, resume: bool) -> None:
        super().__init__()
        self.file = file
        self.rows: dict[int, dict[str, Any]] = {}
        if resume and file.exists():
            with file.open(newline="") as stream:
                for row in csv.DictReader(stream):
                    epoch = int(row.pop("epoch"))
                    self.rows[epoch] = {"epoch": epoch} | {key: float(value) for key, value in row.items() if value}

    @property
    def name(self) -> str:
        """Name of the logger."""
        return "curves"

    @property
    def version(self) -> str:
        """Unused: there is only one file."""
        return ""

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the config is in ``config.yaml``."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Add metrics to the row of their epoch and write the file."""
        epoch = int(metrics["epoch"])
        self.rows.setdefault(epoch, {}).update({**metrics, "epoch": epoch})
        columns = ["epoch", *sorted({key for row in self.rows.values() for key in row} - {"epoch"})]
        write_atomically(self.file, lambda path: self._write(path, columns))

    def forget(self, epoch: int) -> None:
        """Drop the rows of an epoch that is about to run and of later ones, left by an interrupted run."""
        self.rows = {number: row for number, row in self.rows.items() if number < epoch}

    def mean(self, column: str) -> float | None:
        """Return the mean of a column over the epochs that have it, or None if none has."""
        values = [row[column] for row in self.rows.values() if column in row]
        return sum(values) / len(values) if values else None

    def _write(self, path: Path, columns: list[str]) -> None:
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, columns)
            writer.writeheader()
            writer.writerows(self.rows[epoch] for epoch in sorted(self.rows))
