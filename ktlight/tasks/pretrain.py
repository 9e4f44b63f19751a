"""Pretraining: train one model on the labels and keep it where later runs find it."""

import logging
from contextlib import nullcontext
from typing import Any

from omegaconf import DictConfig

from ktlight.config.models import model_config
from ktlight.data.dataset import ImageDataset
from ktlight.models.build import build_classifier, entry_provenance
from ktlight.models.recipe import Recipe
from ktlight.models.spec import ModelConfig
from ktlight.models.zoo import ZOO_PREFIX, Entry, Zoo
from ktlight.report.files import check_writable
from ktlight.report.folder import RunFolder
from ktlight.report.table import print_pretrain
from ktlight.stages.pretraining import measure, pretrain, pretraining_config, pretraining_recipe
from ktlight.stages.trained import locate
from ktlight.training.assemble import load_dataset
from ktlight.training.loggers import extra_loggers, log_results
from ktlight.training.processes import is_first_process, wait_for_all
from ktlight.training.record import open_folder, record_start

logger = logging.getLogger(__name__)


def run_pretrain(config: DictConfig) -> dict[str, Any]:
    """Train the student on the data's labels; its folder and the local zoo keep it (task=pretrain)."""
    folder = open_folder(config)
    if config.resume and folder.results is not None:
        print_pretrain(folder.results, folder.path)
        return folder.results
    dataset = load_dataset(config)
    zoo = Zoo()
    check_writable(zoo.root, "the environment variable KTLIGHT_CACHE")
    model = model_config(config.student)
    if model.checkpoint:
        model, _ = locate(model, zoo, dataset.identity)
    recipe = pretraining_recipe(config, model, dataset)
    name = config.pretrain.name
    if name:
        zoo.check_name(name, recipe)
    with zoo.lock(recipe) if is_first_process() else nullcontext(), extra_loggers(config, folder) as loggers:
        if entry := zoo.find(recipe):
            results = measure_again(config, entry, recipe, model, dataset, folder)
        else:
            results = pretrain(config, recipe, model, dataset, folder, loggers=loggers)
        log_results(loggers, results)
    if is_first_process():
        entry = zoo.give_name(recipe, name) if name else zoo.named(recipe.name, dataset.identity)
        print_pretrain(results, folder.path)
        logger.info("To use it: student.checkpoint=%s%s (or teacher.checkpoint=)", ZOO_PREFIX, entry.name)
    return results


def measure_again(
    config: DictConfig, entry: Entry, recipe: Recipe, model: ModelConfig, dataset: ImageDataset, folder: RunFolder
) -> dict[str, Any]:
    """Return the results of a model that the zoo has already: the same recipe would give the same weights."""
    logger.info("The zoo has a model by this very recipe, %s: nothing to train", entry)
    known = ModelConfig(model.name, model.architecture, checkpoint=str(entry.folder))
    classifier = build_classifier(
        known, entry_provenance(entry), class_names=dataset.class_names, data_identity=dataset.identity
    )
    record_start(config, folder, dataset, {"student": classifier})
    record = {key: entry.record[key] for key in ("epochs", "num_train")}
    results = measure(pretraining_config(config), recipe, classifier, dataset, folder, record)
    if is_first_process():
        folder.write_results(results)
    wait_for_all()
    return results
