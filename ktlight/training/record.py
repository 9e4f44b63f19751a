"""One run, from checking its folder to writing its results there."""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from ktlight.config.identity import lasting
from ktlight.report.folder import RunFolder
from ktlight.report.owned import check_owned, locked
from ktlight.report.schema import SCHEMA
from ktlight.training.failing import errors_to_mend, failure_noted, nothing_but_leaving
from ktlight.training.processes import is_first_process, is_job_of_a_sweep, wait_for_all

if TYPE_CHECKING:  # a report needs neither images nor models, nor the seconds that loading torch takes
    from ktlight.data.dataset import ImageDataset
    from ktlight.models.classifier import Classifier

logger = logging.getLogger(__name__)

VERSIONS = ("ktlight", "torch", "torchvision", "timm")


class Run:
    """A run and its folder.

    An earlier run there is not touched before `begin`, which follows all checks: a command that cannot work leaves the
    folder unchanged.

    Args:
        config: The composed config.
        folder: The folder of the run.
    """

    def __init__(self, config: DictConfig, folder: RunFolder) -> None:
        self.config = config
        self.folder = folder
        self.seconds: dict[str, float] = {}
        self._phase, self._since = "load", time.perf_counter()

    def phase(self, name: str) -> None:
        """Attribute the time from now on to another phase."""
        now = time.perf_counter()
        self.seconds[self._phase] = round(self.seconds.get(self._phase, 0.0) + now - self._since, 3)
        self._phase, self._since = name, now

    def took(self, seconds: float) -> None:
        """Count only so many seconds of the time since the phase began: the rest went to other runs of a pack."""
        self._since = time.perf_counter() - seconds

    def part(self, name: str, config: DictConfig) -> "Run":
        """Return a nested run with its own config, for example to train a model first."""
        self.begin()
        return Run(config, RunFolder(self.folder.path / name))

    def begin(self) -> None:
        """Set an earlier run's files aside, unless it is being resumed; files are written from here on."""
        if is_first_process() and not self.config.resume and (aside := self.folder.set_aside()):
            logger.info("What an earlier run had left in this folder is now in %s", aside)

    def record_start(self, described: str) -> None:
        """Begin, and write the environment and what `described` returned: of the models as they were given."""
        self.begin()
        if is_first_process():
            self.folder.write_config(described)
            self.folder.write_environment()

    def described(self, dataset: "ImageDataset", models: Mapping[str, "Classifier"]) -> str:
        """Return what ``config.yaml`` says: the resolved config, and the identity of data, weights and label maps."""
        maps = {f"labels_{name}": model.label_map for name, model in models.items()}
        identity = {
            "data": dataset.identity,
            **{name: model.weights_hash() for name, model in models.items()},
            **{name: label_map.identity for name, label_map in maps.items() if label_map is not None},
        }
        return lasting(self.config) + OmegaConf.to_yaml({"identity": identity})

    def finish(self, results: Mapping[str, Any]) -> dict[str, Any]:
        """Write the results, adding the fields of every run, and return them."""
        self.phase("end")
        versions = {name: version(name) for name in VERSIONS}
        complete = {"schema": SCHEMA, **results, "seconds": self.seconds, "versions": versions}
        if is_first_process():
            self.folder.write_results(complete)
            if self.folder.drop_duplicate():
                logger.info("The earlier run had come to the same, so it is not kept")
        wait_for_all()
        return complete


@contextmanager
def opened(config: DictConfig, path: Path, option: str) -> Iterator[Run]:
    """Open a run's folder, locked against other processes; if the run fails, ``failure.json`` there says why.

    Args:
        config: The composed config.
        path: The folder.
        option: The option that chooses another one.

    Raises:
        UserError: If the folder holds other files, another process is running there, or the run to resume is a finished
            one with another config.
    """
    folder = RunFolder(path)
    if not is_first_process():
        with errors_only():
            yield Run(config, folder)
        return
    to_resume = config.resume and (folder.results_file.exists() or folder.checkpoints)
    if not to_resume:
        check_owned(folder.path, option)
    with locked(folder.path):
        if config.resume and folder.results_file.exists() and folder.config_file.exists():
            folder.check_config(lasting(config))
        elif config.resume and not to_resume and not is_job_of_a_sweep():
            logger.info("Nothing to resume in %s: starting from the beginning", folder.path)
        with failure_noted(folder.path), nothing_but_leaving(), errors_to_mend():
            yield Run(config, folder)


@contextmanager
def errors_only() -> Iterator[None]:
    """Tell nothing but errors meanwhile: the first process tells the rest."""
    ours = logging.getLogger("ktlight")
    level = ours.level
    ours.setLevel(logging.ERROR)
    try:
        yield
    finally:
        ours.setLevel(level)
