"""The Lightning trainer with its checkpoints and loggers, from the config."""

import logging
import math
import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from hydra.core.hydra_config import HydraConfig
from lightning import Trainer
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, Checkpoint, TQDMProgressBar
from lightning.pytorch.loggers.logger import Logger
from omegaconf import DictConfig

from ktlight.data.datamodule import ImageDataModule
from ktlight.errors import UserError
from ktlight.methods.base import TransferMethod
from ktlight.methods.context import TrainingContext
from ktlight.models.synchronization import synchronized
from ktlight.report.curves import Curves
from ktlight.report.folder import RunFolder
from ktlight.routing.router import SampleRouter
from ktlight.training.checkpoints import EpochCheckpoint, WholeCheckpoints
from ktlight.training.compilation import compile_step
from ktlight.training.preemption import Leaving, keep_signals_from
from ktlight.training.processes import is_job_of_a_sweep
from ktlight.training.sharded import FSDP, sharded
from ktlight.training.started import resolved, started

logger = logging.getLogger(__name__)

VALIDATIONS = 5
VALIDATION_SHARE = 0.2


def build_trainer(
    config: DictConfig,
    *,
    max_epochs: int = 1,
    validate_every: int | None = None,
    callbacks: Sequence[Callback] = (),
    loggers: Sequence[Logger] = (),
) -> Trainer:
    """Return a trainer configured by the group ``trainer``.

    Raises:
        UserError: If the device is missing, Lightning rejects an option, or processes of one run could join another's.
    """
    if config.accelerator == "gpu" and not torch.cuda.is_available():
        raise UserError(
            "trainer=gpu, but PyTorch sees no GPU here: use trainer=cpu (or trainer=auto), or check the driver"
        )
    _quiet()
    devices, nodes = resolved(config)
    try:
        trainer = Trainer(
            accelerator=config.accelerator,
            devices=devices,
            num_nodes=nodes,
            strategy=sharded(config, precision(config)) if config.strategy == FSDP else config.strategy,
            precision=precision(config),
            max_epochs=max_epochs,
            check_val_every_n_epoch=validate_every or 1,
            limit_val_batches=None if validate_every else 0,
            accumulate_grad_batches=config.accumulate_grad_batches,
            gradient_clip_val=config.gradient_clip_val,
            deterministic=config.deterministic,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            callbacks=[*callbacks, *([TQDMProgressBar(refresh_rate=10)] if shows_progress(config) else [])],
            logger=list(loggers),
            plugins=[WholeCheckpoints(), cluster()],
            enable_progress_bar=shows_progress(config),
            enable_model_summary=False,
            enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in callbacks),
        )
    except (MisconfigurationException, TypeError, ValueError) as error:
        raise UserError(f"an option of trainer does not work here: {error}") from error
    keep_signals_from(trainer)
    if config.sync_batchnorm and (trainer.world_size == 1 or trainer.strategy.root_device.type == "cpu"):
        raise UserError(
            "trainer.sync_batchnorm=true: PyTorch synchronises BatchNorm over several GPUs, and this run has "
            f"{trainer.world_size} {trainer.strategy.root_device.type} process(es); leave it out"
        )
    if trainer.world_size > 1 and _sweeps_in_one_process():
        raise UserError(
            f"{trainer.world_size} devices for trainer.devices={config.devices}, and in a sweep each of their "
            "processes would run the whole sweep: use launcher=slurm, which starts a process for each device, or "
            "trainer.devices=1 (with launcher=joblib, one job a device)"
        )
    return trainer


def cluster() -> ClusterEnvironment:
    """Return how the processes of a run find each other.

    Lightning would take the script of a Slurm job for one of several processes, and wait for the others. Its own
    answer to a signal, to save within a step and requeue the job, is off.
    """
    there = started()
    if there is None:
        return LightningEnvironment()
    return TorchElasticEnvironment() if there.by == "torchrun" else SLURMEnvironment(auto_requeue=False)


def world_size(config: DictConfig) -> int:
    """Return the number of processes of a trainer configured by the group ``trainer``."""
    return build_trainer(config).world_size


def precision(config: DictConfig) -> Any:
    """Return Lightning's name of the precision; ``auto`` is bf16-mixed on a GPU with bfloat16 support."""
    if config.precision != "auto":
        return config.precision
    gpu = config.accelerator != "cpu" and torch.cuda.is_available()
    return "bf16-mixed" if gpu and torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"


def fit(
    config: DictConfig,
    method: TransferMethod[Any],
    data: ImageDataModule,
    folder: RunFolder,
    *,
    max_epochs: int,
    resume: bool,
    validate: bool = True,
    keep_end: bool = False,
    callbacks: Sequence[Callback] = (),
    loggers: Sequence[Logger] = (),
) -> Curves:
    """Train ``method`` and return the curves; with ``resume``, continue from the folder's checkpoint if it has one.

    A checkpoint is written at the end of an epoch if ``checkpoint_every_seconds`` have passed since the last one, and,
    with ``keep_end``, after the last epoch, for trainings followed by others. All randomness of an epoch
    is a function of the seed and the epoch's number, so a resumed run ends with the weights of an uninterrupted one.
    """
    resumed = resume and folder.checkpoint.exists()
    curves = Curves(folder.path / "curves.csv", resume=resumed)
    lay_out(method, config)
    if config.compile:
        compile_step(method, callbacks, config.compile)
    validate_every = validated_every(config, data, max_epochs)
    keeper = EpochCheckpoint(folder.checkpoint, curves, config.checkpoint_every_seconds, keep_end)
    trainer = build_trainer(
        config,
        max_epochs=max_epochs,
        validate_every=validate_every if validate else None,
        callbacks=[EpochSeed(), *callbacks, Leaving(), keeper],
        loggers=[curves, *loggers],
    )
    method.context = training_context(data, trainer)
    if resumed:
        say_resumed(folder, max_epochs)
    with synchronized(method.networks[: method.learners]) if config.sync_batchnorm else nullcontext():
        trainer.fit(method, datamodule=data, ckpt_path=folder.checkpoint if resumed else None, weights_only=True)
    return curves


def say_resumed(folder: RunFolder, epochs: int) -> None:
    """Say where a training goes on that has so many epochs in all."""
    logger.info("Continuing after epoch %d of %d, from %s", folder.epochs_kept()["."], epochs, folder.checkpoint)


def lay_out(method: TransferMethod[Any], config: DictConfig) -> None:
    """Put the networks that learn into the memory layout of the group ``trainer``."""
    channels_last = config.channels_last and config.strategy != FSDP  # which takes contiguous weights only
    layout = torch.channels_last if channels_last else torch.contiguous_format
    for network in method.networks[: method.learners]:
        network.network.to(memory_format=layout)


def validated_every(config: DictConfig, data: ImageDataModule, epochs: int) -> int:
    """Return after how many epochs to validate, by the group ``trainer``."""
    return config.check_val_every_n_epoch or validation_interval(epochs, data.num_train, data.num_eval)


def validation_interval(epochs: int, num_train: int, num_eval: int) -> int:
    """Return after how many epochs to validate: about five times in all, for at most a fifth of the training's time.

    An image costs three forward passes in training and one in validation. At least the last epoch is validated.

    >>> validation_interval(50, 360, 1437), validation_interval(6, 360, 1437), validation_interval(10, 20_000, 5_000)
    (10, 6, 2)
    """
    affordable = int(VALIDATION_SHARE * 3 * epochs * num_train / num_eval)
    return math.ceil(epochs / max(1, min(VALIDATIONS, affordable)))


def training_context(data: ImageDataModule, trainer: Trainer) -> TrainingContext:
    """Return the context for a method trained on ``data`` by ``trainer``."""
    routers = [callback for callback in trainer.callbacks if isinstance(callback, SampleRouter)]  # type: ignore[attr-defined]
    labels = np.arange(0) if data.dataset.train is None else data.dataset.train.labels
    return TrainingContext(
        rows=data.train_rows,
        labels=labels[data.train_rows],
        seed=data.seed,
        batch_size=data.batch_size,
        effective_batch=data.batch_size * trainer.world_size * trainer.accumulate_grad_batches,
        holdout=lambda: (batches for batches, _, _ in data.holdout_dataloader()),
        holdout_size=len(data.holdout_rows),
        source_widths=tuple(width for router in routers for width in router.widths),
    )


def shows_progress(config: DictConfig) -> bool:
    """Return whether to show progress bars; ``auto`` shows them on a terminal."""
    return bool(sys.stdout.isatty() if config.progress == "auto" else config.progress)


class EpochSeed(Callback):
    """Seeds each epoch with its number, so that a resumed epoch draws the same random numbers (dropout)."""

    def on_train_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Seed torch."""
        base = int(os.environ.get("PL_GLOBAL_SEED", 0))
        torch.manual_seed((base * 1_000_003 + trainer.current_epoch) * 1_009 + trainer.global_rank)


def _sweeps_in_one_process() -> bool:
    return is_job_of_a_sweep() and "submitit" not in HydraConfig.get().launcher._target_


def _quiet() -> None:
    """Silence Lightning's informational messages."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
