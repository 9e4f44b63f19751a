"""Pretraining: a model is trained on the labels, and the zoo keeps it under its recipe."""

import copy
import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import timm
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers.logger import Logger
from omegaconf import DictConfig, OmegaConf

from ktlight.answers.ask import answers
from ktlight.answers.stored import OutputStore
from ktlight.data.dataset import ImageDataset
from ktlight.errors import UserError
from ktlight.methods.supervised import Supervised
from ktlight.models.classifier import Classifier
from ktlight.models.export import export_classifier
from ktlight.models.facts import line, model_facts
from ktlight.models.recipe import SCRATCH, Recipe, file_digest, initial_weights, make_recipe
from ktlight.models.spec import ModelConfig
from ktlight.models.starting import head_parameters, starting_classifier
from ktlight.models.zoo import Zoo
from ktlight.report.results import accuracy
from ktlight.restraints.interpolation import WeightInterpolation
from ktlight.stages.notices import warn_of_missing_classes
from ktlight.training.assemble import data_module, optimization, seed
from ktlight.training.loggers import extra_loggers, log_results
from ktlight.training.processes import is_first_process
from ktlight.training.record import Run
from ktlight.training.trainer import build_trainer, fit

logger = logging.getLogger(__name__)

OF_DATA = ("batch_size", "views", "augment")
OF_TRAINER = ("accumulate_grad_batches", "gradient_clip_val")
NOT_OF_THE_RECIPE = ("name", "init")  # where training starts from is said by the recipe's start


def on_the_spot(config: DictConfig) -> DictConfig:
    """Return the config for training a missing model on the spot: the group ``pretrain``, in one process, eagerly.

    This way a run's models do not depend on how many devices its transfer uses.
    """
    alone = copy.deepcopy(config)
    alone.trainer.update(
        {
            "max_epochs": config.pretrain.epochs,
            "devices": 1,
            "num_nodes": 1,
            "strategy": "auto",
            "compile": None,
            "sync_batchnorm": False,
        }
    )
    return alone


def pretraining_config(config: DictConfig) -> DictConfig:
    """Return the config with the seed, data and trainer options of the group ``pretrain`` in effect."""
    options = config.pretrain
    own = copy.deepcopy(config)
    own.seed = options.seed
    for group, keys in (("data", OF_DATA), ("trainer", OF_TRAINER)):
        for key in keys:
            value = options[key]
            own[group][key] = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
    return own


def pretraining_recipe(config: DictConfig, model: ModelConfig, dataset: ImageDataset) -> Recipe:
    """Return everything that the weights of a model pretrained with ``config`` depend on."""
    options: Any = OmegaConf.to_container(config.pretrain, resolve=True)
    trainer = build_trainer(pretraining_config(config).trainer)
    training = {
        **{key: value for key, value in options.items() if key not in NOT_OF_THE_RECIPE},
        "epochs": config.trainer.max_epochs,
        "device": trainer.strategy.root_device.type,
        "processes": trainer.world_size,
        "precision": trainer.precision,
        **{key: config.trainer[key] for key in ("channels_last", "compile", "deterministic")},
        **({"sync_batchnorm": True} if config.trainer.sync_batchnorm else {}),  # without it, as before there was one
    }
    start = initial_weights(model, options["init"])
    data = {key: config.data[key] for key in ("fraction", "holdout", "canvas")}
    if start != SCRATCH:  # the head of trained weights is kept, sliced or replaced by the names of the classes
        data["classes"] = [*dataset.class_names, *(dataset.wnids or ())]
        data["labels"] = file_digest(Path(model.label_map).expanduser()) if model.label_map else model.labels
    return make_recipe(model, identity=dataset.identity, data=data, training=training, start=start)


def pretrain(
    config: DictConfig,
    recipe: Recipe,
    model: ModelConfig,
    dataset: ImageDataset,
    run: Run,
    *,
    followed: bool = True,
) -> dict[str, Any]:
    """Train ``model`` as the group ``pretrain`` says, export it to the folder and the zoo, and return its results.

    Args:
        config: The composed config.
        recipe: The corresponding recipe; see `pretraining_recipe`.
        model: The model.
        dataset: The data to train and evaluate on.
        run: The run.
        followed: Whether to validate during training and to use the config's loggers.
    """
    options = config.pretrain
    check_start(options, model)
    own = pretraining_config(config)
    seed(own)  # whatever was done before: the same model comes out on the spot, by itself and when resumed
    classifier = starting_classifier(
        model,
        init=options.init,
        class_names=dataset.class_names,
        native_size=dataset.native_size,
        wnids=dataset.wnids,
    )
    if classifier.sliced:
        logger.info("%s", line("start", classifier))
        warn_of_missing_classes("start", classifier)
    if options.part == "head":
        head = head_parameters(classifier)
        for name, parameter in classifier.network.named_parameters():
            parameter.requires_grad_(name in head)
    data = data_module(own, dataset).seen_by([classifier.framing])
    run.record_start(run.described(dataset, {"start": classifier}))
    method = Supervised([classifier], optimization(options.optim, classifier), options.label_smoothing)
    run.phase("train")
    watching: AbstractContextManager[list[Logger]] = extra_loggers(config, run.folder) if followed else nullcontext([])
    with watching as loggers:
        fit(
            own.trainer, method, data, run.folder,
            max_epochs=own.trainer.max_epochs,
            resume=config.resume,
            validate=followed,
            callbacks=moving_average(options.ema_decay),
            loggers=loggers,
        )  # fmt: skip
        record = {"epochs": own.trainer.max_epochs, "num_train": data.num_train}
        results = measure(own, recipe, classifier, dataset, run, record)
        log_results(loggers, results)
    acc = results["acc"] if config.data.evaluate_on == "val" else validation_accuracy(own, classifier, dataset)
    if is_first_process():
        Zoo().save(
            classifier, recipe, record=zoo_record(results, classifier, dataset, acc), class_names=dataset.class_names
        )
    return run.finish(results)


def measure(
    config: DictConfig,
    recipe: Recipe,
    classifier: Classifier,
    dataset: ImageDataset,
    run: Run,
    record: Mapping[str, Any],
) -> dict[str, Any]:
    """Evaluate a pretrained model, write it and its predictions to the folder, and return its results."""
    run.phase("after")
    data = data_module(config, dataset)
    measured = answers({"student": classifier}, data, OutputStore(config))
    prediction = measured.prediction["student"]
    results = {
        "task": "pretrain",
        "student": classifier.name,
        "data": config.data.name,
        "class_names": list(dataset.class_names),
        "seed": config.seed,
        **record,
        "num_eval": data.num_eval,
        "acc": accuracy(prediction, measured.label),
        "weights": classifier.weights_hash(),
        "models": {"student": model_facts(classifier)},
    }
    run.phase("write")
    if is_first_process():
        run.folder.write_predictions({"index": measured.index, "label": measured.label, "student": prediction})
        made = {**results, "recipe": asdict(recipe)}
        export_classifier(classifier, run.folder.path / "student", record=made, class_names=dataset.class_names)
    return results


def zoo_record(results: Mapping[str, Any], classifier: Classifier, dataset: ImageDataset, acc: float) -> dict[str, Any]:
    """Return the zoo's record of a model; its accuracy is always that on the validation split."""
    kept = ("student", "data", "seed", "epochs", "num_train")
    return {
        **{key: results[key] for key in kept},
        "num_eval": len(dataset.val),
        "acc": acc,
        "parameters": model_facts(classifier)["parameters"],
        "licence": classifier.provenance and classifier.provenance.licence,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "software": {"torch": torch.__version__, "timm": timm.__version__},
    }


def validation_accuracy(config: DictConfig, classifier: Classifier, dataset: ImageDataset) -> float:
    """Return the accuracy on the validation split, whatever the run itself is evaluated on."""
    config = copy.deepcopy(config)
    config.data.evaluate_on = "val"
    measured = answers({"student": classifier}, data_module(config, dataset), OutputStore(config))
    return accuracy(measured.prediction["student"], measured.label)


def check_start(options: DictConfig, model: ModelConfig) -> None:
    """Raise `UserError` if the training could not teach anything."""
    if options.part == "head" and options.init == "scratch" and model.checkpoint is None:
        raise UserError(
            "pretrain.part=head on random features teaches nothing: give student.checkpoint= or pretrain.init=hub"
        )


def moving_average(decay: float | None) -> list[Callback]:
    """Return the callback that keeps a moving average of the weights, if requested."""
    return [] if decay is None else [WeightInterpolation(decay, samples=1, average_buffers=True)]
