"""Building the parts of a training from the config: data, optimiser, seed."""

from collections.abc import Mapping
from functools import partial

from lightning import seed_everything
from omegaconf import DictConfig

from ktlight.config.instantiate import accepts, make
from ktlight.data.classes import name_classes
from ktlight.data.datamodule import ImageDataModule
from ktlight.data.dataset import ImageDataset
from ktlight.data.splits import without_corrupt
from ktlight.errors import UserError
from ktlight.methods.optimization import Optimization
from ktlight.models.classifier import Classifier
from ktlight.training.length import learning_parameters

LARGEST_CANVAS = 224


def seed(config: DictConfig) -> None:
    """Seed all random number generators with the config's seed."""
    seed_everything(config.seed, workers=True, verbose=False)


def load_dataset(config: DictConfig) -> ImageDataset:
    """Return the data set that ``data=`` names, with the options applied."""
    return as_asked(config, make(config.data.load))


def as_asked(config: DictConfig, dataset: ImageDataset) -> ImageDataset:
    """Apply the options ``data.skip_corrupt`` and ``data.class_names`` to a data set."""
    if config.data.skip_corrupt:
        dataset = without_corrupt(dataset)
    return name_classes(dataset, config.data.class_names) if config.data.class_names else dataset


def data_module(config: DictConfig, dataset: ImageDataset) -> ImageDataModule:
    """Return the data module.

    With ``data.canvas: null`` training views are as large as the images, up to 224 pixels: the pixels that a run's
    networks share depend on the data alone.
    """
    options = config.data
    return ImageDataModule(
        dataset,
        canvas=options.canvas or min(dataset.native_size, LARGEST_CANVAS),
        augment=make(options.augment),
        fraction=options.fraction,
        views=options.views,
        batch_size=options.batch_size,
        eval_batch_size=options.eval_batch_size,
        workers=options.workers,
        seed=config.seed,
        holdout=options.holdout,
        evaluate_on=options.evaluate_on,
    )


def check_classes(dataset: ImageDataset, models: Mapping[str, Classifier]) -> None:
    """Raise `UserError` unless every model tells as many classes apart as the data has."""
    for role, model in models.items():
        if model.num_classes != dataset.num_classes:
            raise UserError(
                f"the {role} {model.name} tells {model.num_classes} classes apart, but {dataset.name} has "
                f"{dataset.num_classes}: student, teacher and data must share one label space. Fine-tune the model "
                f"first: python run.py task=pretrain student={model.name} student.checkpoint=..."
            )


def optimization(options: DictConfig, learner: Classifier) -> Optimization:
    """Return the optimiser and schedule from a config group like ``optim``, for a network of the learner's size."""
    plain = Optimization(
        optimizer=partial(make, options.optimizer),
        lr=options.lr,
        lr_batch=options.lr_batch,
        warmup_epochs=options.warmup_epochs,
        decay=options.decay,
        fused=accepts(options.optimizer, "fused"),
    )
    return plain.slowed(learning_parameters(learner), options.lr_parameters)
