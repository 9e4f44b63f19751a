"""The frame of all tasks: opening the folder, showing a finished run, timing, and the final table."""

from importlib import import_module
from inspect import isgenerator
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from ktlight.config.checks import check_config
from ktlight.config.instantiate import check_parts
from ktlight.errors import UserError, nearest
from ktlight.stages.pause import Steps, alone
from ktlight.training.failing import errors_to_mend
from ktlight.training.processes import is_first_process
from ktlight.training.record import opened
from ktlight.training.started import check_placement


class Task(NamedTuple):
    """A task: the module with its functions ``run(config, run) -> results`` and ``show(results, folder)``.

    What pauses returns its steps in place of results: `ktlight.stages.pause`.

    One that only looks has ``look(config) -> exit status`` in their place, and no folder.

    Attributes:
        module: Imported only when the task runs, since it needs torch.
        once: Whether resuming a finished run only shows it again, rather than repeating it.
        parts: Whether it uses the parts that a config names; finding them takes the seconds of loading torch.
        looks: Whether it only looks at what is there: it writes nothing, so it needs no folder of its own.
    """

    module: str
    once: bool = True
    parts: bool = True
    looks: bool = False


TASKS = {
    "transfer": Task("ktlight.tasks.transfer"),
    "pretrain": Task("ktlight.tasks.pretrain"),
    "recommend": Task("ktlight.tasks.recommend"),
    "evaluate": Task("ktlight.tasks.evaluate"),
    "discover": Task("ktlight.tasks.discover"),
    "store": Task("ktlight.tasks.store", once=False),
    "zoo": Task("ktlight.tasks.zoo", once=False),
    "report": Task("ktlight.tasks.report", once=False, parts=False),
    "status": Task("ktlight.tasks.status", parts=False, looks=True),
}


def run_task(config: DictConfig) -> dict[str, Any]:
    """Run the task that the config names, show its results and return them; see `steps_of`."""
    return alone(steps_of(config))


def steps_of(config: DictConfig) -> Steps[dict[str, Any]]:
    """Run the task that the config names, show its results and return them, pausing where the task does.

    Raises:
        UserError: If the input cannot work, or the disk or memory is full.
    """
    path = Path(HydraConfig.get().runtime.output_dir)
    with errors_to_mend(), opened(config, path, "hydra.run.dir=FOLDER") as run:
        check_config(config)
        check_placement(config.trainer)
        task = named_task(config)
        if task.parts:
            check_parts(config)
        module = import_module(task.module)
        finished = run.folder.results if config.resume and task.once else None
        came = finished or module.run(config, run)
        results: dict[str, Any] = (yield from came) if isgenerator(came) else came
    if is_first_process():
        module.show(results, path)
    return results


def named_task(config: DictConfig) -> Task:
    """Return the task that the config names.

    Raises:
        UserError: If there is none of that name.
    """
    if config.task.name not in TASKS:
        raise UserError(f"unknown task '{config.task.name}'.{nearest(str(config.task.name), TASKS)}")
    return TASKS[config.task.name]
