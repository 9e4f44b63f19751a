"""What all tasks share: a folder of their own, an answer to a finished run, the clock, the table at the end."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from ktlight.config.checks import check_config
from ktlight.config.instantiate import check_parts
from ktlight.errors import UserError, nearest
from ktlight.training.processes import is_first_process
from ktlight.training.record import opened

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
OUT_OF_MEMORY = ("out of memory", "can't allocate memory")  # of a GPU, of the processor


class Task(NamedTuple):
    """A task: where its functions ``run(config, run) -> results`` and ``show(results, folder)`` are.

    Attributes:
        module: Imported when the task is run, since it needs torch.
        once: Whether a finished run is only shown again when it is resumed; else it is done again.
    """

    module: str
    once: bool = True


TASKS = {
    "transfer": Task("ktlight.tasks.transfer"),
    "pretrain": Task("ktlight.tasks.pretrain"),
    "evaluate": Task("ktlight.tasks.evaluate"),
    "store": Task("ktlight.tasks.store", once=False),
    "zoo": Task("ktlight.tasks.zoo", once=False),
}


def run_task(config: DictConfig) -> dict[str, Any]:
    """Run the task that the config names, show what it has come to, and return its results.

    Raises:
        UserError: Something the user gave cannot work, the disk is full among other things.
    """
    check_config(config)
    check_parts(config)
    if config.task.name not in TASKS:
        raise UserError(f"unknown task '{config.task.name}'.{nearest(config.task.name, TASKS)}")
    task = TASKS[config.task.name]
    module = import_module(task.module)
    path = Path(HydraConfig.get().runtime.output_dir)
    with _errors_to_mend(), opened(config, path, "hydra.run.dir=FOLDER") as run:
        finished = run.folder.results if config.resume and task.once else None
        results: dict[str, Any] = finished or module.run(config, run)
    if is_first_process():
        module.show(results, path)
    return results


@contextmanager
def _errors_to_mend() -> Iterator[None]:
    """Turn errors of the machine into what the user can do about them."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError) or any(sign in str(error) for sign in OUT_OF_MEMORY):
            raise UserError(
                "the memory is full: use a smaller data.batch_size (with trainer.accumulate_grad_batches, if the "
                "effective batch is to stay) or fewer teachers; with store=auto frozen models run once, one after the "
                "other. With resume=true the run goes on from its last checkpoint, if it had come to one."
            ) from error
        raise
    except OSError as error:
        if error.errno in DISK_FULL:
            raise UserError(
                f"no space left on the disk while writing {error.filename or 'the run'}. What was complete is kept: "
                "make room and continue with resume=true."
            ) from error
        raise
