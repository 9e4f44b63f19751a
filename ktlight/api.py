"""Transfer from Python: any network that maps images to logits, any data set of images and labels."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from torch import nn

from ktlight.config.location import config_directory
from ktlight.config.model_source import MODEL_GROUPS, register_models
from ktlight.config.models import listed_teacher, model_config, teacher_roles
from ktlight.config.overrides import check_overrides
from ktlight.config.resolvers import register_resolvers
from ktlight.data.arrays import MapDataset, from_torch
from ktlight.data.dataset import ImageDataset
from ktlight.errors import UserError
from ktlight.models.classifier import Classifier
from ktlight.models.provenance import Provenance
from ktlight.report.folder import RunFolder
from ktlight.stages.trained import trained_classifier
from ktlight.tasks.transfer import transfer as run_transfer
from ktlight.training.assemble import as_asked
from ktlight.training.record import Run, opened


@dataclass(frozen=True)
class Transfer:
    """The result of a transfer.

    Attributes:
        student: The student after the transfer.
        results: The figures, as in ``results.json``.
        folder: The folder of the run.
    """

    student: Classifier
    results: dict[str, Any]
    folder: RunFolder


def transfer(
    student: nn.Module | str,
    teacher: nn.Module | str | Sequence[nn.Module | str],
    train_data: MapDataset,
    val_data: MapDataset,
    *,
    method: str = "kl_dp",
    folder: str | Path = "runs/python",
    overrides: Sequence[str] = (),
    class_names: Sequence[str] | None = None,
) -> Transfer:
    """Let ``student`` learn what ``teacher`` knows; what ``python run.py`` does, on objects.

    Args:
        student: A network that maps a batch of the data's images to logits ``[B, C]``, left as it is; or the name of a
            timm model, whose weights are looked for as on the command line (add ``student.checkpoint=`` to
            ``overrides``) and which takes uint8 images.
        teacher: Likewise; several as a list, with ``schedule=`` in ``overrides``.
        train_data: Map-style data set of ``(image, label)``: the image ``uint8 [3, h, w]``, augmented and resized as
            the config ``data`` says, or ``float``, given to the networks as it is.
        val_data: What the figures are measured on, likewise.
        method: A name of the config group ``method``.
        folder: Folder of the run; what an earlier run left there is set aside.
        overrides: Further options as on the command line, such as ``["optim.lr=0.01", "trainer.max_epochs=5"]``.
        class_names: Names of the classes; their numbers if not given.

    Returns:
        The student after the transfer, the figures, and the folder.

    Raises:
        UserError: The parts do not fit each other; the message says what to do.

    Example:
        >>> outcome = ktlight.transfer(my_net, "resnet50", train, val, method="kl_dp")  # doctest: +SKIP
        >>> outcome.results["transfer_delta"], outcome.student.network  # doctest: +SKIP
    """
    teachers = [teacher] if isinstance(teacher, nn.Module | str) else list(teacher)
    if not teachers or any(each is other for number, each in enumerate(teachers) for other in teachers[:number]):
        raise UserError("give at least one teacher, and each of them once")
    models = {"student": student, **dict(zip(teacher_roles(len(teachers)), teachers, strict=True))}
    named = [f"{role}={model}" for role, model in models.items() if isinstance(model, str) and role in MODEL_GROUPS]
    config = _config([f"method={method}", "data=python", *named, *overrides])
    if config.teachers:
        raise UserError("give several teachers as the argument `teacher`, not as an override")
    names = tuple(class_names) if class_names else None
    dataset = as_asked(config, from_torch(train_data, val_data, class_names=names))
    with opened(config, Path(folder), "folder=") as run:
        learner, *others = (_classifier(role, model, config, dataset, run) for role, model in models.items())
        return Transfer(learner, run_transfer(config, dataset, learner, others, run), run.folder)


def _config(overrides: list[str]) -> DictConfig:
    register_models()
    register_resolvers()
    check_overrides(overrides)
    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        return compose("config", overrides)


def _classifier(role: str, model: nn.Module | str, config: DictConfig, dataset: ImageDataset, run: Run) -> Classifier:
    if isinstance(model, str):
        spec = model_config(config[role]) if role in MODEL_GROUPS else listed_teacher(config, model)
        return trained_classifier(config, role, spec, dataset, run)
    name = type(model).__name__
    classes = _count_logits(model, dataset)
    classifier = Classifier(copy.deepcopy(model), nn.Identity(), name=name, architecture=name, num_classes=classes)
    classifier.provenance = Provenance("python", name)
    return classifier


@torch.no_grad()
def _count_logits(model: nn.Module, dataset: ImageDataset) -> int:
    logits = copy.deepcopy(model).cpu().eval()(dataset.val.image(0)[None])
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2:
        found = list(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise UserError(f"{type(model).__name__} must map images to logits [batch, classes], but gives {found}")
    return logits.shape[1]
