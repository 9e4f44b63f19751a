"""Says what a sweep would do and take, and does nothing (dry_run=true)."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple

from omegaconf import DictConfig
from rich.markup import escape

from ktlight.config.models import model_config, teacher_configs
from ktlight.errors import NotThere
from ktlight.report.layout import Column, console_for_tables, duration, fitted, said
from ktlight.report.plan import Job
from ktlight.report.state import State
from ktlight.sweeps.composition import SweepLoader
from ktlight.sweeps.pairs import PairRun
from ktlight.sweeps.standing import Standing

if TYPE_CHECKING:
    from ktlight.sweeps.forecast import Forecast, Task

SHOWN = 5
"""Jobs of which the options are shown."""
NAMED = 6
"""Models that are named."""
COUNTED = ("runs", "done", "to do")


class MethodCount(NamedTuple):
    """How the runs of an entry of ``methods`` stand.

    Attributes:
        method: The entry.
        runs: How many there are.
        done: Those that are done.
        left: Those that would be run.
    """

    method: str
    runs: int
    done: int
    left: int


def print_dry_run(
    loader: SweepLoader,
    line: str,
    methods: Sequence[MethodCount],
    left: Sequence[Standing],
    runs: Sequence[PairRun | Job],
) -> None:
    """Print what a sweep would do and take.

    Args:
        loader: Composes the configs.
        line: How the jobs stand.
        methods: The same by method, of a sweep over pairs.
        left: The jobs that are left, those that prepare models first.
        runs: The runs among them.
    """
    console = console_for_tables()
    console.print(escape(line))
    if methods:
        numbers = [Column(name, [str(each[place]) for each in methods]) for place, name in enumerate(COUNTED, 1)]
        console.print(
            fitted([Column("method", [each.method for each in methods], right=False, fold=50), *numbers], console.width)
        )
    if left:
        shown = left[:SHOWN]
        columns = [
            Column("first", [each.job.folder for each in shown], right=False, fold=60),
            Column("state", [each.state for each in shown], right=False),
        ]
        console.print(fitted(columns, console.width))
    for label, text in taken(loader, runs):
        said(console, text, f"{label:8}")
    console.print("dry_run=true: nothing was run or written")


def said_of_pairs(runs: Sequence[PairRun]) -> str:
    """Return which pairs of models the runs of a sweep are about, in words."""
    pairs = {(repr(run.student), repr(teacher)) for run in runs for teacher in run.teachers}
    students, teachers = (len(set(each)) for each in zip(*pairs, strict=True))
    return f"{len(pairs)} pairs of {students} students and {teachers} teachers"


def count_methods(
    runs: Sequence[PairRun], jobs: Sequence[Job], found: Sequence[Standing], left: Collection[Job]
) -> list[MethodCount]:
    """Return how the runs of each method stand, in the order of the methods."""
    by_method: dict[str, list[tuple[Job, Standing]]] = defaultdict(list)
    for run, job, standing in zip(runs, jobs, found, strict=True):
        by_method[str(run.method)].append((job, standing))
    return [
        MethodCount(
            method,
            len(own),
            sum(standing.state == State.DONE for _, standing in own),
            sum(job in left for job, _ in own),
        )
        for method, own in by_method.items()
    ]


def taken(loader: SweepLoader, runs: Sequence[PairRun | Job]) -> list[tuple[str, str]]:
    """Return what transfers would take in words, by topic; nothing if there are none."""
    tasks = transfers(loader, runs)
    try:
        forecast = forecast_of(tasks)
    except NotThere as error:
        models = {repr(model): model.name for task in tasks for model in task.models.values()}
        return [
            ("models", f"{len(models)}: {named(list(models.values()), len(models))}"),
            ("store", f"not known, nor is the time: {error}"),
        ]
    return told(forecast) if forecast else []


def named(names: Sequence[str], most: int = NAMED) -> str:
    """Return some of the names, each once."""
    each = list(dict.fromkeys(names))
    return ", ".join(each[:most]) + ", ..." * (len(each) > most)


def told(forecast: "Forecast") -> list[tuple[str, str]]:
    """Return a forecast in words, by topic."""
    train = f"{len(forecast.to_train)} of {forecast.models} are to be trained first: {named(forecast.to_train)}"
    lines = [
        ("models", train if forecast.to_train else f"all {forecast.models} are there"),
        ("store", f"{forecast.missing} of {forecast.entries} entries are missing: {forecast.bytes / 1e9:.3g} GB"),
        (
            "time",
            f"{duration(forecast.seconds)} of computing, one job after the other, by the speed on {forecast.device}",
        ),
    ]
    return [*lines[:1], *(("", reason) for reason in forecast.without[:NAMED]), *lines[1:]]


def transfers(loader: SweepLoader, runs: Sequence[PairRun | Job]) -> list["Task"]:
    """Return the transfers among the runs."""
    from ktlight.sweeps.forecast import Task

    configs: dict[tuple[str, ...], DictConfig] = {}
    tasks = []
    for run in runs:
        options = run.shared if isinstance(run, PairRun) else run.overrides
        if options not in configs:
            configs[options] = loader.composed(options)
        config = configs[options]
        if isinstance(run, PairRun):
            tasks.append(Task(config, run.models))
        elif config.task.name == "transfer":
            tasks.append(Task(config, {"student": model_config(config.student), **teacher_configs(config)}))
    return tasks


def forecast_of(tasks: Sequence["Task"]) -> "Forecast | None":
    """Return what transfers would take; None if there are none.

    Raises:
        NotThere: The images are not there, or the weights of a model.
    """
    from ktlight.sweeps.forecast import Forecaster

    forecaster = Forecaster()
    for task in tasks:
        forecaster.add(task)
    return forecaster.result() if forecaster.known else None
