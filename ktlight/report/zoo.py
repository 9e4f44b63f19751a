"""The table of the zoo's models."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape

from ktlight.report.layout import Column, console_for_tables, fitted
from ktlight.report.table import percent


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
    columns = [
        Column("name", [model["name"] for model in models], right=False, fold=40),
        Column("model", [model["model"] for model in models], spare=3, right=False),
        Column("data", [model["data"] for model in models], spare=2, right=False),
        Column("epochs", [str(model["epochs"]) for model in models]),
        Column("seed", [str(model["seed"]) for model in models]),
        Column("accuracy", [percent(model["acc"]) for model in models]),
        Column("held out", [f"{100 * model['holdout']:g}%" if model["holdout"] else "" for model in models]),
        Column("parameters", [f"{model['parameters']:,}" for model in models], spare=1),
        Column("MB", [f"{model['bytes'] / 1e6:.1f}" for model in models], spare=4),
        Column("trained", [model["created"][:10] for model in models], spare=5),
    ]
    console.print(escape(f"models in {root}, accuracy in % of the validation split"))
    console.print(fitted(columns, console.width))
    console.print("use one with student.checkpoint=zoo:NAME or teacher.checkpoint=zoo:NAME")
