"""Trained models: found in a checkpoint, the zoo or on the Hub, or trained on the labels first."""

import logging
from collections.abc import Sequence
from typing import Any

from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers.logger import Logger
from omegaconf import DictConfig, OmegaConf

from ktlight.answers.ask import answers
from ktlight.answers.stored import OutputStore
from ktlight.data.dataset import ImageDataset
from ktlight.errors import UserError
from ktlight.methods.supervised import Supervised
from ktlight.models.build import MissingWeights, build_classifier
from ktlight.models.classifier import Classifier
from ktlight.models.export import export_classifier
from ktlight.models.spec import ModelConfig
from ktlight.models.starting import head_parameters, starting_classifier
from ktlight.models.zoo import TrainingShare, Zoo
from ktlight.report.files import check_writable
from ktlight.report.folder import RunFolder
from ktlight.report.results import accuracy
from ktlight.restraints.interpolation import WeightInterpolation
from ktlight.training.assemble import data_module, optimization, seed
from ktlight.training.processes import is_first_process, wait_for_all
from ktlight.training.record import record_start
from ktlight.training.trainer import fit

logger = logging.getLogger(__name__)


def trained_classifier(
    config: DictConfig, role: str, model: ModelConfig, dataset: ImageDataset, folder: RunFolder
) -> Classifier:
    """Return the trained model of a role (``student``, ``teacher``), pretraining it first where that is agreed.

    Weights are never silently random. They come from the role's checkpoint, else from the local zoo, else from the Hub
    where its labels are the data's; else, for a training set of at most ``data.pretrain.max_images`` images, the model
    is trained on the spot, which is announced, and kept for next time.

    Raises:
        MissingWeights: There are none, and the data set is too large to train on it unasked.
    """
    zoo = Zoo()

    def build() -> Classifier:
        return build_classifier(
            model,
            num_classes=dataset.num_classes,
            dataset_identity=dataset.identity,
            share=training_share(config),
            zoo=zoo,
            hub_labels=config.data.hub_labels,
        )

    try:
        return build()
    except MissingWeights:
        images = (
            round(len(dataset.train.labels) * config.data.fraction * (1 - config.data.holdout)) if dataset.train else 0
        )
        if not 0 < images <= config.data.pretrain.max_images:
            raise
        logger.info(
            "No trained weights of %s for this data yet: training it once on %d images (%s epochs) for the zoo in %s",
            model.name, images, config.pretrain.epochs, zoo.root,
        )  # fmt: skip
        own_folder = RunFolder(folder.path / f"pretrain-{role}")
        pretrain(config, model, dataset, own_folder, config.pretrain.epochs, validate=False)
        return build()


def pretrain(
    config: DictConfig,
    model: ModelConfig,
    dataset: ImageDataset,
    folder: RunFolder,
    epochs: int,
    *,
    validate: bool = True,
    loggers: Sequence[Logger] = (),
) -> dict[str, Any]:
    """Train ``model`` by the config group ``pretrain``, export it to the folder and the zoo, and return its results.

    Args:
        config: The composed config.
        model: Which model.
        dataset: What it learns from and is measured on.
        folder: Where its run goes.
        epochs: How long.
        validate: Whether its accuracy is followed while it learns.
        loggers: Further loggers beside the curves.
    """
    options = config.pretrain
    if options.part not in ("all", "head"):
        raise UserError(f"unknown pretrain.part '{options.part}': choose all or head")
    if options.part == "head" and options.init == "scratch" and model.checkpoint is None:
        raise UserError(
            "pretrain.part=head on random features teaches nothing: give student.checkpoint= or pretrain.init=hub"
        )
    check_writable(Zoo().root, "the environment variable KTLIGHT_CACHE")
    seed(config)  # whatever was done before: the same model comes out on the spot, by itself and when resumed
    classifier = starting_classifier(
        model, init=options.init, num_classes=dataset.num_classes, native_size=dataset.native_size
    )
    if options.part == "head":
        head = head_parameters(classifier)
        for name, parameter in classifier.network.named_parameters():
            parameter.requires_grad_(name in head)
    data = data_module(config, dataset).seen_by([classifier.framing])
    record_start(config, folder, dataset, {"start": classifier})
    method = Supervised([classifier], optimization(options.optim, classifier), options.label_smoothing)
    fit(
        config.trainer, method, data, folder,
        max_epochs=epochs,
        resume=config.resume,
        validate=validate,
        callbacks=moving_average(options.ema_decay),
        loggers=loggers,
    )  # fmt: skip
    measured = answers({"student": classifier}, data, OutputStore(config))
    results = {
        "task": "pretrain",
        "student": model.name,
        "data": config.data.name,
        "seed": config.seed,
        "epochs": epochs,
        "num_train": data.num_train,
        "num_eval": data.num_eval,
        "acc": accuracy(measured.prediction["student"], measured.label),
        "weights": classifier.weights_hash(),
    }
    if is_first_process():
        record = {**results, "pretrain": OmegaConf.to_container(options, resolve=True)}
        folder.write_predictions(
            {"index": measured.index, "label": measured.label, "student": measured.prediction["student"]}
        )
        export_classifier(classifier, folder.path / "student", record=record, class_names=dataset.class_names)
        Zoo().save(
            classifier, model, dataset.identity, training_share(config), record=record, class_names=dataset.class_names
        )
        folder.write_results(results)
    wait_for_all()
    return results


def training_share(config: DictConfig) -> TrainingShare:
    """Return which part of the training split the models of a run learn from."""
    return TrainingShare(config.data.fraction, config.data.holdout)


def moving_average(decay: float | None) -> list[Callback]:
    """Return the callback that keeps the moving average of the weights, if there is to be one."""
    return [] if decay is None else [WeightInterpolation(decay, samples=1, average_buffers=True)]
