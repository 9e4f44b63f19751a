"""Tasks: each file reads top-down like a recipe and wires the parts in plain Python."""

import errno
from typing import Any

from omegaconf import DictConfig

from ktlight.config.checks import check_config
from ktlight.config.instantiate import check_parts
from ktlight.errors import UserError

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
OUT_OF_MEMORY = ("out of memory", "can't allocate memory")  # of a GPU, of the processor


def run_task(config: DictConfig) -> dict[str, Any]:
    """Run the task that the config names and return its results.

    Raises:
        UserError: Something the user gave cannot work, the disk is full among other things.
    """
    check_config(config)
    check_parts(config)
    try:
        if config.task.name == "transfer":
            from ktlight.tasks.transfer import run_transfer

            return run_transfer(config)
        if config.task.name == "pretrain":
            from ktlight.tasks.pretrain import run_pretrain

            return run_pretrain(config)
        if config.task.name == "store":
            from ktlight.tasks.store import run_store

            return run_store(config)
        if config.task.name == "zoo":
            from ktlight.tasks.zoo import run_zoo

            return run_zoo(config)
        from ktlight.tasks.evaluate import run_evaluate

        return run_evaluate(config)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError) or any(sign in str(error) for sign in OUT_OF_MEMORY):
            raise UserError(
                "the memory is full: use a smaller data.batch_size (with trainer.accumulate_grad_batches, if the "
                "effective batch is to stay) or fewer teachers; with store=auto frozen models run once, one after the "
                "other. Whole epochs are kept: continue with resume=true."
            ) from error
        raise
    except OSError as error:
        if error.errno in DISK_FULL:
            raise UserError(
                f"no space left on the disk while writing {error.filename or 'the run'}. What was complete is kept: "
                "make room and continue with resume=true."
            ) from error
        raise
