"""Says what a sweep would do and take, and does nothing (dry_run=true)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from omegaconf import DictConfig
from rich.markup import escape

from ktlight.config.models import model_config, teacher_configs
from ktlight.report.layout import Column, console_for_tables, duration, fitted, said
from ktlight.report.plan import Job
from ktlight.sweeps.composition import SweepLoader
from ktlight.sweeps.pairs import PairRun
from ktlight.sweeps.standing import Standing

if TYPE_CHECKING:
    from ktlight.sweeps.forecast import Forecast

SHOWN = 5
"""Jobs of which the options are shown."""
NAMED = 6
"""Models that are named."""


def print_dry_run(loader: SweepLoader, line: str, left: Sequence[Standing], runs: Sequence[PairRun | Job]) -> None:
    """Print what a sweep would do and take.

    Args:
        loader: Composes the configs.
        line: How the jobs stand.
        left: The jobs that are left, those that prepare models first.
        runs: The runs among them.
    """
    console = console_for_tables()
    console.print(escape(line))
    if left:
        shown = left[:SHOWN]
        columns = [
            Column("first", [each.job.folder for each in shown], right=False, fold=60),
            Column("state", [each.state for each in shown], right=False),
        ]
        console.print(fitted(columns, console.width))
    if forecast := forecast_of(loader, runs):
        for label, text in told(forecast):
            said(console, text, f"{label:8}")
    console.print("dry_run=true: nothing was run or written")


def told(forecast: "Forecast") -> list[tuple[str, str]]:
    """Return a forecast in words, by topic."""
    names = list(dict.fromkeys(forecast.to_train))
    named = ", ".join(names[:NAMED]) + ", ..." * (len(names) > NAMED)
    models = f"{len(forecast.to_train)} of {forecast.models} are to be trained first"
    lines = [
        ("models", f"{models}: {named}" if forecast.to_train else f"all {forecast.models} are there"),
        ("store", f"{forecast.missing} of {forecast.entries} entries are missing: {forecast.bytes / 1e9:.3g} GB"),
        (
            "time",
            f"{duration(forecast.seconds)} of computing, one job after the other, by the speed on {forecast.device}",
        ),
    ]
    return [*lines[:1], *(("", reason) for reason in forecast.without[:NAMED]), *lines[1:]]


def forecast_of(loader: SweepLoader, runs: Sequence[PairRun | Job]) -> "Forecast | None":
    """Return what runs would take; None if there is no transfer among them."""
    from ktlight.sweeps.forecast import Forecaster, Task

    forecaster = Forecaster()
    configs: dict[tuple[str, ...], DictConfig] = {}
    for run in runs:
        options = run.shared if isinstance(run, PairRun) else run.overrides
        if options not in configs:
            configs[options] = loader.composed(options)
        config = configs[options]
        if config.task.name == "transfer":
            of_config = {"student": model_config(config.student), **teacher_configs(config)}
            forecaster.add(Task(config, run.pair._asdict() if isinstance(run, PairRun) else of_config))
    return forecaster.result() if forecaster.known else None
