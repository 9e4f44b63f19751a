"""Where a run leaves when it was asked to: between two batches, in all its processes at the same one."""

from typing import Any

from lightning import Trainer
from lightning.pytorch.callbacks import Callback

from ktlight.errors import Preempted
from ktlight.preemption import asked_to_leave, leave_if_asked
from ktlight.training.processes import are_several

AGREE_EVERY = 10
"""Steps after which several processes ask each other whether one of them was asked to leave."""


def leave_between_batches() -> None:
    """Leave if asked to. Several processes do not: one of them would leave the others waiting for it."""
    if not are_several():
        leave_if_asked()


class Leaving(Callback):
    """Leaves a training at the end of a step; after the last one of an epoch, once the checkpoint is written.

    Several processes agree every `AGREE_EVERY` steps, and before each epoch.
    """

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Leave, unless the epoch is over."""
        if not trainer.is_last_batch and (trainer.world_size == 1 or (batch_idx + 1) % AGREE_EVERY == 0):
            leave_together(trainer)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Leave, now that the last epoch has its checkpoint."""
        leave_together(trainer)


def leave_together(trainer: Trainer) -> None:
    """Raise `Preempted` in every process if any was asked to leave; all call this at the same step."""
    if any_is_asked(trainer):
        raise Preempted


def any_is_asked(trainer: Trainer) -> bool:
    """Return, in every process, whether any was asked to leave; all call this at the same step."""
    return bool(trainer.strategy.reduce_boolean_decision(asked_to_leave(), all=False))


def keep_signals_from(trainer: Trainer) -> None:
    """Let Lightning set no handlers of its own.

    On SIGTERM they talk to the other processes in the middle of whatever these are doing; under Slurm they save a
    checkpoint in the middle of a step and put the job back into the queue, which is the launcher's business.
    """
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
