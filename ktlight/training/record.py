"""The run folder of a config: opened before a task starts, with what the run depends on written into it."""

import logging
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig, OmegaConf

from ktlight.data.dataset import ImageDataset
from ktlight.models.classifier import Classifier
from ktlight.report.folder import RunFolder
from ktlight.training.processes import is_first_process

logger = logging.getLogger(__name__)


def open_folder(config: DictConfig) -> RunFolder:
    """Return the folder of the run, with what an earlier run left there set aside unless it is to be resumed."""
    folder = RunFolder(Path(HydraConfig.get().runtime.output_dir))
    if not is_first_process():
        logging.getLogger("ktlight").setLevel(logging.WARNING)  # the first process says what there is to say
    elif not config.resume:
        if aside := folder.set_aside():
            logger.info("What an earlier run had left in this folder is now in %s", aside)
    elif folder.results is not None:
        folder.check_config(lasting(config))
    elif not folder.checkpoints:
        logger.info("Nothing to resume in %s: starting from the beginning", folder.path)
    return folder


@rank_zero_only
def record_start(config: DictConfig, folder: RunFolder, dataset: ImageDataset, models: dict[str, Classifier]) -> None:
    """Write the resolved config, with the identity of data and weights, and the environment."""
    identity = {"data": dataset.identity, **{name: model.weights_hash() for name, model in models.items()}}
    folder.write_config(lasting(config) + OmegaConf.to_yaml({"identity": identity}))
    folder.write_environment()


def lasting(config: DictConfig) -> str:
    """Return the resolved config as YAML, but for what may differ between a run and its continuation."""
    kept: Any = OmegaConf.to_container(config, resolve=True)
    del kept["resume"], kept["logger"], kept["data"]["workers"]
    del kept["trainer"]["progress"], kept["trainer"]["checkpoint_every_seconds"]
    kept["store"] = {"top_k": kept["store"]["top_k"]}  # all else of it changes no figure
    return OmegaConf.to_yaml(kept)
