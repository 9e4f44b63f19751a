"""The Lightning trainer, its checkpoints and its loggers, from the config."""

import logging
import os
import sys
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning import LightningDataModule, Trainer
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.plugins import TorchCheckpointIO
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig

from ktlight.errors import UserError
from ktlight.methods.base import TransferMethod
from ktlight.models.sources import LiveSource
from ktlight.report.curves import Curves
from ktlight.report.files import write_atomically
from ktlight.report.folder import RunFolder
from ktlight.routing.router import SampleRouter

logger = logging.getLogger(__name__)

Decision = TypeVar("Decision")


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


def build_trainer(
    config: DictConfig,
    *,
    max_epochs: int = 1,
    validate: bool = True,
    callbacks: Sequence[Callback] = (),
    loggers: Sequence[Logger] = (),
) -> Trainer:
    """Return a trainer by the config group ``trainer``.

    Raises:
        UserError: The device is not there, an option has a value that Lightning does not know, or the processes of one
            run would meet those of another.
    """
    if config.accelerator == "gpu" and not torch.cuda.is_available():
        raise UserError(
            "trainer=gpu, but PyTorch sees no GPU here: use trainer=cpu (or trainer=auto), or check the driver"
        )
    _quiet()
    try:
        trainer = Trainer(
            accelerator=config.accelerator,
            devices=config.devices,
            num_nodes=config.num_nodes,
            strategy=config.strategy,
            precision=precision(config),
            max_epochs=max_epochs,
            check_val_every_n_epoch=config.check_val_every_n_epoch,
            limit_val_batches=None if validate else 0,
            accumulate_grad_batches=config.accumulate_grad_batches,
            gradient_clip_val=config.gradient_clip_val,
            deterministic=config.deterministic,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            callbacks=[*callbacks, *([TQDMProgressBar(refresh_rate=10)] if shows_progress(config) else [])],
            logger=list(loggers),
            plugins=[WholeCheckpoints()],
            enable_progress_bar=shows_progress(config),
            enable_model_summary=False,
            enable_checkpointing=any(isinstance(callback, ModelCheckpoint) for callback in callbacks),
        )
    except (MisconfigurationException, TypeError, ValueError) as error:
        raise UserError(f"an option of trainer does not work here: {error}") from error
    if trainer.world_size > 1 and _sweeps_in_one_process():
        raise UserError(
            "a sweep (-m) with several devices in one process would start the whole sweep again in every process. "
            "Start one process a job with a launcher (pip install hydra-submitit-launcher; "
            "hydra/launcher=submitit_slurm), or use trainer.devices=1"
        )
    return trainer


def precision(config: DictConfig) -> Any:
    """Return Lightning's name of the precision; ``auto`` is bf16-mixed on a GPU that computes in bfloat16."""
    if config.precision != "auto":
        return config.precision
    gpu = config.accelerator != "cpu" and torch.cuda.is_available()
    return "bf16-mixed" if gpu and torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"


def fit(
    config: DictConfig,
    method: TransferMethod,
    data: LightningDataModule,
    folder: RunFolder,
    *,
    max_epochs: int,
    resume: bool,
    validate: bool = True,
    callbacks: Sequence[Callback] = (),
    loggers: Sequence[Logger] = (),
) -> Curves:
    """Train ``method`` and return the curves; with ``resume``, go on from the folder's checkpoint if it has one.

    A checkpoint is kept after every epoch. Everything random in an epoch follows from the seed and the epoch's number,
    so going on from the last whole epoch leads to the weights of an undisturbed run.
    """
    resumed = resume and folder.checkpoint.exists()
    curves = Curves(folder.path / "curves.csv", resume=resumed)
    if config.channels_last:
        for network in method.networks[: method.learners]:
            network.network.to(memory_format=torch.channels_last)
    if config.compile:
        compile_step(method, callbacks, config.compile)
    trainer = build_trainer(
        config,
        max_epochs=max_epochs,
        validate=validate,
        callbacks=[EpochSeed(), *callbacks, EpochCheckpoint(folder.checkpoint, curves)],
        loggers=[curves, *loggers],
    )
    if resumed:
        logger.info("Continuing from %s", folder.checkpoint)
    trainer.fit(method, datamodule=data, ckpt_path=folder.checkpoint if resumed else None, weights_only=True)
    return curves


def shows_progress(config: DictConfig) -> bool:
    """Return whether progress bars are wanted; ``auto`` is where somebody can see them move."""
    return bool(sys.stdout.isatty() if config.progress == "auto" else config.progress)


def is_first_process() -> bool:
    """Return whether this process is the one that writes files."""
    return bool(rank_zero_only.rank == 0)  # type: ignore[attr-defined]


def agreed(value: Decision) -> Decision:
    """Return the first process's value in every process of the run, where each has computed its own."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return value
    values = [value]
    torch.distributed.broadcast_object_list(values)
    return values[0]


def wait_for_all() -> None:
    """Wait until every process of the run is here."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()


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


class EpochSeed(Callback):
    """Seeds each epoch by its number, so that a resumed epoch draws the same random numbers (dropout)."""

    def on_train_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Seed torch."""
        base = int(os.environ.get("PL_GLOBAL_SEED", 0))
        torch.manual_seed((base * 1_000_003 + trainer.current_epoch) * 1_009 + trainer.global_rank)


def compile_step(method: TransferMethod, callbacks: Sequence[Callback], mode: str) -> None:
    """Compile what a training step computes: forward passes with preprocessing and losses, sources, and routing.

    Each is one graph for whole batches and one for the last, smaller one; sizes are never made variable, because a
    graph of fixed sizes is faster and can be replayed on a GPU. The interpolation of weights stays as it is: one fused
    operation over all tensors.

    Raises:
        UserError: PyTorch knows no such mode, or does not compile here.
    """
    try:
        compiled = partial(torch.compile, mode=mode, dynamic=False)
        networks: Any = method.networks
        for network in networks:  # for validation; within the losses it is traced as a part of them
            network.network.compile(mode=mode, dynamic=False)
        method.losses = compiled(method.losses)  # type: ignore[method-assign]
        for router in (callback for callback in callbacks if isinstance(callback, SampleRouter)):
            router.route = compiled(router.route)  # type: ignore[method-assign]
            for source in router.sources:
                if isinstance(source, LiveSource):
                    source.classifier.network.compile(mode=mode, dynamic=False)
    except RuntimeError as error:
        raise UserError(f"trainer.compile={mode} does not work here: {error}") from error


def _sweeps_in_one_process() -> bool:
    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return False
    return "submitit" not in HydraConfig.get().launcher._target_


def _quiet() -> None:
    """Keep Lightning's notices about itself from between the lines that matter."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
