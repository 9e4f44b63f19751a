"""Checkpoints: written atomically at the ends of epochs."""

from pathlib import Path
from time import monotonic
from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins import TorchCheckpointIO

from ktlight.report.curves import Curves
from ktlight.report.files import write_atomically
from ktlight.training.preemption import any_is_asked
from ktlight.training.processes import agreed


class WholeCheckpoints(TorchCheckpointIO):
    """Writes checkpoints atomically, so that a run killed at any moment leaves a complete one."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Save next to ``path`` and rename."""
        write_atomically(Path(path), lambda temporary: save(checkpoint, temporary))


def save(checkpoint: dict[str, Any], path: Path) -> None:
    """Write a checkpoint, re-raising a disk error that torch replaces with its own."""
    try:
        with path.open("wb") as file:
            torch.save(checkpoint, file)
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise


class EpochCheckpoint(Checkpoint):
    """Writes a checkpoint at the end of an epoch if enough time has passed since the last one.

    A short training writes none: repeating it takes less than the interval. The epoch's row of the curves is written
    before the checkpoint; in Lightning's own order, a run killed between the two would lack the row.

    Args:
        file: The checkpoint; the old one stays until the new one is complete.
        curves: The curves.
        seconds: Interval after the start, or the last checkpoint, at which the next one is due.
        keep_end: Whether to keep the state after the last epoch in any case, because more training follows.
    """

    def __init__(self, file: Path, curves: Curves, seconds: float, keep_end: bool) -> None:
        self.file = file
        self.curves = curves
        self.seconds = seconds
        self.keep_end = keep_end
        self.kept_at = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Start the clock."""
        self.kept_at = monotonic()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Drop metrics of the last epoch, which this one may lack, and rows of epochs that are repeated."""
        trainer.logged_metrics.clear()
        self.curves.forget(trainer.current_epoch)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Write the row, then the checkpoint if it is due."""
        metrics = {name: float(value) for name, value in trainer.logged_metrics.items()}
        self.curves.log_metrics({**metrics, "epoch": trainer.current_epoch})
        at_end = self.keep_end and trainer.current_epoch + 1 == trainer.max_epochs
        is_due = agreed(at_end or monotonic() - self.kept_at >= self.seconds)
        if is_due or any_is_asked(trainer):  # to leave: the epoch is not to be lost
            trainer.save_checkpoint(self.file)
            self.kept_at = monotonic()
