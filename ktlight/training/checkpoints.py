"""Checkpoints: whole or absent, one after every epoch."""

from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins import TorchCheckpointIO

from ktlight.report.curves import Curves
from ktlight.report.files import write_atomically


class WholeCheckpoints(TorchCheckpointIO):
    """Writes checkpoints atomically, so that a run killed at any moment leaves a whole one."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Save beside ``path`` and rename."""
        write_atomically(Path(path), lambda temporary: save(checkpoint, temporary))


def save(checkpoint: dict[str, Any], path: Path) -> None:
    """Write a checkpoint; torch puts an error of its own in the place of one of the disk, which is undone here."""
    try:
        with path.open("wb") as file:
            torch.save(checkpoint, file)
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise


class EpochCheckpoint(ModelCheckpoint):
    """Keeps the state after every epoch, once the curves have the epoch's row.

    Lightning writes the row after the checkpoint; a run killed between the two would resume without that row.
    """

    def __init__(self, file: Path, curves: Curves) -> None:
        super().__init__(file.parent, file.stem, save_on_train_epoch_end=True, enable_version_counter=False)
        self.curves = curves

    def on_train_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Forget the metrics of the last epoch, which this one may lack."""
        trainer.logged_metrics.clear()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Write the row, then the checkpoint."""
        metrics = {name: float(value) for name, value in trainer.logged_metrics.items()}
        self.curves.log_metrics({**metrics, "epoch": trainer.current_epoch})
        super().on_train_epoch_end(trainer, pl_module)
