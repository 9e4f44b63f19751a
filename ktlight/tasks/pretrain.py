"""Pretraining: train one model on the labels and keep it for later runs."""

import logging
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from ktlight.config.models import model_config
from ktlight.data.dataset import ImageDataset
from ktlight.models.build import build_classifier, entry_provenance
from ktlight.models.recipe import Recipe
from ktlight.models.spec import ZOO_PREFIX, ModelConfig
from ktlight.models.zoo import Entry, Zoo
from ktlight.report.files import check_writable
from ktlight.report.table import print_pretrain
from ktlight.stages.pretraining import measure, pretrain, pretraining_config, pretraining_recipe
from ktlight.stages.trained import locate
from ktlight.training.assemble import load_dataset
from ktlight.training.processes import is_first_process
from ktlight.training.record import Run

logger = logging.getLogger(__name__)


def run(config: DictConfig, run: Run) -> dict[str, Any]:
    """Train the student on the data's labels; its folder and the local zoo keep it (task=pretrain)."""
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
    with zoo.lock(recipe) if is_first_process() else nullcontext():
        if entry := zoo.find(recipe):
            results = measure_again(config, entry, recipe, model, dataset, run)
        else:
            results = pretrain(config, recipe, model, dataset, run)
    if is_first_process():
        entry = zoo.give_name(recipe, name) if name else zoo.named(recipe.name, dataset.identity)
        logger.info("To use it: student.checkpoint=%s%s (or teacher.checkpoint=)", ZOO_PREFIX, entry.name)
    return results


def measure_again(
    config: DictConfig, entry: Entry, recipe: Recipe, model: ModelConfig, dataset: ImageDataset, run: Run
) -> dict[str, Any]:
    """Return the results of a model that is already in the zoo: the same recipe would give the same weights."""
    logger.info("The zoo has a model by this very recipe, %s: nothing to train", entry)
    known = ModelConfig(model.name, model.architecture, checkpoint=str(entry.folder))
    classifier = build_classifier(
        known, entry_provenance(entry), class_names=dataset.class_names, data_identity=dataset.identity
    )
    run.record_start(run.described(dataset, {"student": classifier}))
    record = {key: entry.record[key] for key in ("epochs", "num_train")}
    return run.finish(measure(pretraining_config(config), recipe, classifier, dataset, run, record))


def show(results: dict[str, Any], folder: Path) -> None:
    """Print the accuracy, and where the model was saved."""
    print_pretrain(results, folder)
