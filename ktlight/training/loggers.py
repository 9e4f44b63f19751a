"""Loggers in addition to the curves, which are always written."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.loggers.logger import Logger
from omegaconf import DictConfig, OmegaConf

from ktlight.config.identity import digest, lasting
from ktlight.errors import Preempted, UserError, nearest
from ktlight.publication.content import Page
from ktlight.publication.weights_and_biases.pages import log_page
from ktlight.publication.weights_and_biases.tracking import PREEMPTED, Tracked, figures_of
from ktlight.report.files import write_text
from ktlight.report.folder import RunFolder
from ktlight.training.failing import UNEXPECTED, errors_to_mend, in_a_line
from ktlight.training.processes import is_first_process, is_job_of_a_sweep

WANDB_ID = "wandb_id.txt"
STEP = "trainer/global_step"
"""Under which W&B has the number of the optimiser's step."""


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
    if not is_first_process():
        yield []
        return
    agent = bool(os.environ.get("WANDB_SWEEP_ID"))  # one of W&B's own sweeps, which says what to run and as which run
    tracked = Tracked(
        folder.path,
        project=None if agent else config.logger.project,
        group=config.logger.group or _sweep_name(),
        name=config.task.label,
        id=None if agent else wandb_id(folder, config),
        resume="allow" if config.resume else None,
        config=OmegaConf.to_container(config, resolve=True),
    )
    if tracked.run is not None:
        write_text(folder.path / WANDB_ID, tracked.run.id)
    tracked.do(lambda run: run.define_metric("*", step_metric=STEP, step_sync=True))
    try:
        yield [TrackedLogger(tracked)]
    except BaseException as error:
        tracked.end(**how_it_ended(error))
        raise
    tracked.end()


LOGGERS = {"none": _none, "tensorboard": _tensorboard, "wandb": _wandb}


def wandb_id(folder: RunFolder, config: DictConfig) -> str:
    """Return the W&B id of the run in a folder: as long as its config is the same, the same.

    Begun anew, it overwrites what W&B has; resumed, it goes on. Half of it is random: the same run of somebody else, or
    in another folder, is another run.
    """
    identity, file = digest(lasting(config)), folder.path / WANDB_ID
    kept = file.read_text().strip() if file.exists() else ""
    return kept if kept.startswith(identity) or (kept and config.resume) else f"{identity}-{uuid.uuid4().hex[:8]}"


class TrackedLogger(Logger):
    """Logs to a run at W&B.

    Args:
        tracked: The run.
    """

    def __init__(self, tracked: Tracked) -> None:
        super().__init__()
        self.tracked = tracked

    @property
    def name(self) -> str:
        """Name of the logger."""
        return "wandb"

    @property
    def version(self) -> str:
        """Version of the logger: there is one run."""
        return ""

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the run has the config."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Log the metrics of a step."""
        self.tracked.do(lambda run: run.log({**metrics, STEP: step}))


def how_it_ended(error: BaseException) -> dict[str, Any]:
    """Return what W&B is told of a run that ended in an error: the state, the exit status, and why."""
    if isinstance(error, Preempted):
        return {"state": "preempted", "status": PREEMPTED}
    if not isinstance(error, Exception):
        return {"state": "interrupted", "status": 1}
    try:
        with errors_to_mend():
            raise error
    except UserError as known:
        return {"state": "failed", "status": 1, "kind": known.kind, "message": str(known)}
    except Exception as defect:
        return {"state": "failed", "status": 1, "kind": UNEXPECTED, "message": in_a_line(defect)}


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
    """Log the final figures to every logger; W&B gets them as its summary when the run ends."""
    figures = {f"results/{name}": value for name, value in results.items() if isinstance(value, int | float)}
    for each in loggers:
        if isinstance(each, TrackedLogger):
            each.tracked.summary |= figures_of(results)
        else:
            each.log_metrics(figures)


def log_run_page(loggers: list[Logger], page: Page, file: Path) -> None:
    """Log a run's page to W&B, if it is among the loggers; TensorBoard has no place for it."""
    for each in loggers:
        if isinstance(each, TrackedLogger):
            each.tracked.do(partial(log_page, page=page, file=file))


def _sweep_name() -> str | None:
    return str(HydraConfig.get().sweep.dir).replace("/", "-") if is_job_of_a_sweep() else None
