"""The parts that several tasks need, made from the config."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from lightning import seed_everything
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig, OmegaConf

from ktlight.config.instantiate import make
from ktlight.config.model_source import model_node
from ktlight.data.augment import Augment
from ktlight.data.datamodule import ImageDataModule
from ktlight.data.dataset import ImageDataset
from ktlight.errors import UserError
from ktlight.methods.base import TransferMethod
from ktlight.methods.optimization import Optimization
from ktlight.models.classifier import Classifier
from ktlight.models.preprocess import Preprocess
from ktlight.models.spec import ModelConfig
from ktlight.report.folder import RunFolder
from ktlight.tasks.training import is_first_process

logger = logging.getLogger(__name__)


def seed(config: DictConfig) -> None:
    """Seed everything random by the config's seed."""
    seed_everything(config.seed, workers=True, verbose=False)


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
    del kept["resume"], kept["logger"], kept["trainer"]["progress"], kept["data"]["workers"]
    kept["cache"] = {"top_k": kept["cache"]["top_k"]}  # all else of it changes no figure
    return OmegaConf.to_yaml(kept)


def load_dataset(config: DictConfig) -> ImageDataset:
    """Return the data set that ``data=`` names."""
    dataset: ImageDataset = make(config.data.load)
    return dataset


def model_config(group: DictConfig) -> ModelConfig:
    """Return the plain form of the config group ``student`` or ``teacher``."""
    config = OmegaConf.to_object(group)
    assert isinstance(config, ModelConfig)
    return config


def teacher_configs(config: DictConfig) -> dict[str, ModelConfig]:
    """Return the teachers by role: those of the list ``teachers``, else the one of ``teacher=``.

    An entry of the list is a name, or a mapping with a name and further options of a model; what it does not say is as
    in ``teacher``, but for the checkpoint.

    Raises:
        UserError: A teacher is given twice, an entry cannot be read, or the schedule needs a list and there is none.
    """
    if not config.teachers:
        if config.schedule.name != "parallel":
            raise UserError(f"schedule={config.schedule.name} needs a list of teachers: 'teachers=[resnet50,vit_s]'")
        return {"teacher": model_config(config.teacher)}
    models = [listed_teacher(config, entry) for entry in OmegaConf.to_container(config.teachers, resolve=True)]  # type: ignore[union-attr]
    known = [replace(model, name="") for model in models]  # an alias is the same model
    for number, model in enumerate(models):
        if known[number] in known[:number]:
            raise UserError(f"the teacher {model.name} is given twice in teachers=[...]: give each once")
    return dict(zip(teacher_roles(len(models)), models, strict=True))


def listed_teacher(config: DictConfig, entry: Any) -> ModelConfig:
    """Return the model of one entry of the list ``teachers``; see :func:`teacher_configs`."""
    options = {"name": entry} if isinstance(entry, str) else entry
    if not isinstance(options, dict) or "name" not in options:
        raise UserError(f"teachers: {entry!r} is neither a model name nor a mapping such as {{name: resnet50}}")
    if unknown := set(options) - {"name", "checkpoint", "img_size", "kwargs"}:
        raise UserError(f"teachers: a model has no option '{min(unknown)}': name, checkpoint, img_size, kwargs")
    shared = {"img_size": config.teacher.img_size, "kwargs": config.teacher.kwargs}
    return model_config(OmegaConf.merge(model_node(options["name"]), shared, options))  # type: ignore[arg-type]


def teacher_roles(count: int) -> list[str]:
    """Return how the teachers are called in columns, curves and folders: ``teacher``, or ``teacher1``, ``teacher2``."""
    return ["teacher"] if count == 1 else [f"teacher{number}" for number in range(1, count + 1)]


def data_module(
    config: DictConfig, dataset: ImageDataset, classifiers: Sequence[Classifier], method: TransferMethod | None = None
) -> ImageDataModule:
    """Return the data module, with as many views of an image as a method wants.

    With ``data.canvas: null`` its canvas is the largest image that any of the models crops from.
    """
    options = config.data
    wanted = [model.preprocess.resize_to for model in classifiers if isinstance(model.preprocess, Preprocess)]
    return ImageDataModule(
        dataset,
        canvas=options.canvas or max(wanted, default=dataset.native_size),
        augment=Augment(**options.augment),
        fraction=options.fraction,
        views=options.views,
        batch_size=options.batch_size,
        eval_batch_size=options.eval_batch_size,
        workers=options.workers,
        seed=config.seed,
        holdout=options.holdout,
        networks=method.learners if method and method.own_views else 1,
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
    """Return the optimiser and schedule of a config group like ``optim``, for a network of the learner's size."""
    if options.decay not in ("constant", "cosine"):
        raise UserError(f"unknown optim.decay '{options.decay}': choose constant or cosine")
    size = sum(parameter.numel() for parameter in learner.parameters() if parameter.requires_grad)
    plain = Optimization(
        optimizer=partial(make, options.optimizer),
        lr=options.lr,
        lr_batch=options.lr_batch,
        warmup_epochs=options.warmup_epochs,
        decay=options.decay,
    )
    return plain.slowed(size, options.lr_parameters)
