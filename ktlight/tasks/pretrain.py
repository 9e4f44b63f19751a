"""Pretraining: train one model on the labels and keep it where later runs find it."""

import logging
from typing import Any

from omegaconf import DictConfig

from ktlight.config.models import model_config
from ktlight.report.table import print_pretrain
from ktlight.stages.pretraining import pretrain
from ktlight.training.assemble import load_dataset
from ktlight.training.loggers import extra_loggers, log_results
from ktlight.training.processes import is_first_process
from ktlight.training.record import open_folder

logger = logging.getLogger(__name__)


def run_pretrain(config: DictConfig) -> dict[str, Any]:
    """Train the student on the data's labels; its folder and the local zoo keep it (task=pretrain)."""
    folder = open_folder(config)
    if config.resume and folder.results is not None:
        print_pretrain(folder.results, folder.path)
        return folder.results
    dataset = load_dataset(config)
    with extra_loggers(config, folder) as loggers:
        model = model_config(config.student)
        results = pretrain(config, model, dataset, folder, config.trainer.max_epochs, loggers=loggers)
        log_results(loggers, results)
    if is_first_process():
        print_pretrain(results, folder.path)
    return results
