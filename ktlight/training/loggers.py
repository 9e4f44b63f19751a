"""Loggers in addition to the curves, which are always written."""

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from lightning.pytorch.loggers.logger import Logger
from omegaconf import DictConfig, OmegaConf

from ktlight.errors import UserError, nearest
from ktlight.publication.content import Page
from ktlight.publication.weights_and_biases import has_credentials, log_page
from ktlight.report.files import write_text
from ktlight.report.folder import RunFolder
from ktlight.training.processes import is_first_process

logger = logging.getLogger(__name__)


@contextmanager
def extra_loggers(config: DictConfig, folder: RunFolder) -> Iterator[list[Logger]]:
    """Yield the loggers of the config group ``logger``, and always close them.

    An unfinished W&B run would absorb the next run of a sweep.
    """
    name = config.logger.name
    if name not in LOGGERS:
        raise UserError(f"unknown logger '{name}'.{nearest(name, LOGGERS)} There are: {', '.join(LOGGERS)}.")
    with LOGGERS[name](config, folder) as loggers:
        yield loggers


@contextmanager
def _none(config: DictConfig, folder: RunFolder) -> Iterator[list[Logger]]:
    yield []


@contextmanager
def _tensorboard(config: DictConfig, folder: RunFolder) -> Iterator[list[Logger]]:
    if find_spec("tensorboard") is None:
        raise UserError("logger=tensorboard needs its package: pip install 'ktlight[tensorboard]'")
    yield [TensorBoardLogger(folder.path, name="", version="tensorboard")]


@contextmanager
def _wandb(config: DictConfig, folder: RunFolder) -> Iterator[list[Logger]]:
    import wandb

    offline = not has_credentials()
    run_logger = WandbLogger(
        project=config.logger.project,
        group=config.logger.group or _sweep_name(),
        name=config.task.label,
        id=_wandb_id(folder, config.resume),
        resume="allow",
        save_dir=folder.path,
        offline=offline,
        config=OmegaConf.to_container(config, resolve=True),
        settings=wandb.Settings(silent=offline),  # else it prints thirty lines
    )
    try:
        yield [run_logger]
    finally:
        written = wandb.run.settings.sync_dir if wandb.run else None
        wandb.finish()
        if offline and written:
            logger.info("W&B ran offline: `wandb login`, then `wandb sync %s`", written)


LOGGERS = {"none": _none, "tensorboard": _tensorboard, "wandb": _wandb}


def _wandb_id(folder: RunFolder, resume: bool) -> str:
    """Return the run's W&B id: random, saved with the run, and reused only when the run is resumed."""
    file = folder.path / "wandb_id.txt"
    if is_first_process() and not (resume and file.exists()):
        write_text(file, uuid.uuid4().hex)
    return file.read_text()


class StageLogger(Logger):
    """Forwards the metrics of one stage of a schedule with a prefix.

    Every stage counts its steps from 0; without the prefix their curves would overlap.

    Args:
        target: The logger to forward to.
        stage: Number of the stage, from 1.
    """

    def __init__(self, target: Logger, stage: int) -> None:
        super().__init__()
        self.target = target
        self.prefix = f"stage{stage}/"

    @property
    def name(self) -> str | None:
        """Name of the target logger."""
        return self.target.name

    @property
    def version(self) -> int | str | None:
        """Version of the target logger."""
        return self.target.version

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the target logger already has the config."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Forward the metrics."""
        self.target.log_metrics({f"{self.prefix}{name}": value for name, value in metrics.items()}, step)


def log_results(loggers: list[Logger], results: dict[str, Any]) -> None:
    """Log the final figures to every logger."""
    figures = {f"results/{name}": value for name, value in results.items() if isinstance(value, int | float)}
    for each in loggers:
        each.log_metrics(figures)


def log_run_page(loggers: list[Logger], page: Page, file: Path) -> None:
    """Log a run's page to W&B, if it is among the loggers; TensorBoard has no place for it."""
    for each in loggers:
        if isinstance(each, WandbLogger):
            log_page(each.experiment, page, file)


def _sweep_name() -> str | None:
    if HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN:
        return str(HydraConfig.get().sweep.dir).replace("/", "-")
    return None
