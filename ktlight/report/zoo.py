"""The table of the zoo's models."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from ktlight.report.table import console_for_tables, percent


def print_models(models: Sequence[Mapping[str, Any]], root: Path) -> None:
    """Print the models of the zoo, one per row.

    Args:
        models: The facts of each, as in the results of ``task=zoo``.
        root: Folder of the zoo.
    """
    console = console_for_tables()
    if not models:
        console.print(f"no models in {root} for this data yet; train one with task=pretrain")
        return
    table = Table(title=f"models in {root}, accuracy in % of the validation split")
    for name in ("name", "model", "data"):
        table.add_column(name)
    for name in ("epochs", "seed", "accuracy", "held out", "parameters", "MB"):
        table.add_column(name, justify="right")
    table.add_column("trained")
    for model in models:
        table.add_row(
            model["name"], model["model"], model["data"], str(model["epochs"]), str(model["seed"]),
            percent(model["acc"]), f"{100 * model['holdout']:g}%" if model["holdout"] else "",
            f"{model['parameters']:,}", f"{model['bytes'] / 1e6:.1f}", model["created"][:10],
        )  # fmt: skip
    console.print(table)
    console.print("use one with student.checkpoint=zoo:NAME or teacher.checkpoint=zoo:NAME")
