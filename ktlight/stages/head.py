"""Head-only transfer: the student's classifier layer learns on stored features, by the very same stages."""

from dataclasses import replace
from functools import partial
from typing import Any

import torch
from omegaconf import DictConfig

from ktlight.data.featuremodule import FeatureDataModule
from ktlight.errors import UserError
from ktlight.methods.base import TransferMethod
from ktlight.models.classifier import Classifier
from ktlight.models.head import Head
from ktlight.stages.setting import Setting

TOLERANCE = 0.05  # of the largest logit; rounding in bfloat16 is below 0.01


def learner(config: DictConfig, student: Classifier) -> Classifier:
    """Return the part of the student that ``transfer.part`` lets learn: all of it, or its head, sharing its weights."""
    return Head(student) if config.transfer.part == "head" else student


def check_head(config: DictConfig, method: TransferMethod[Any] | None) -> None:
    """Raise `UserError` if the head cannot learn alone with the config's method, or from the store."""
    if config.transfer.part != "head":
        return
    if reason := unfit(method):
        raise UserError(
            f"method={config.method.name} {reason}, so it has no transfer.part=head: use one whose loss is on logits, "
            "such as method=kl_dp, or transfer.part=all"
        )
    if config.store.mode == "off":
        raise UserError("transfer.part=head learns on stored outputs: use store=auto")


def unfit(method: TransferMethod[Any] | None) -> str | None:
    """Return why the head cannot learn alone with a method; None if it can."""
    if method is None:
        return "trains nothing"
    if method.needs_features:
        return "moves the features, which come before the head"
    return "runs several networks on the same images" if method.has_peers else None


def on_features(setting: Setting, student: Classifier) -> Setting:
    """Return the setting with the features of a frozen student in place of images, for its head.

    Raises:
        UserError: If the head does not give the student's logits from its features.
    """
    outputs, images = setting.outputs, setting.data
    data = FeatureDataModule(images, student.framing, partial(outputs.features, student))
    check_same(student, replace(setting, data=data))
    return replace(setting, data=data)


@torch.no_grad()
def check_same(student: Classifier, setting: Setting) -> None:
    """Raise `UserError` unless the head gives a student's own logits from its features, up to rounding.

    A network may scale or mix what its last layer gives; the first of the test images show it.
    """
    (whole_NC,) = setting.outputs.outputs(student, [setting.data.test_images(student.framing)]) or [torch.zeros(0)]
    head = Head(student)
    features_BD = next(iter(setting.data.test_images(head.framing).batches()))["image"]
    logits_BC, whole_BC = head(features_BD.to(next(head.parameters()).device)).cpu(), whole_NC[: len(features_BD)]
    if not (logits_BC - whole_BC).abs().max() <= TOLERANCE * whole_BC.abs().max():
        raise UserError(
            f"the logits of {student.name} are not its last layer's alone, so its head cannot learn alone: "
            "use transfer.part=all"
        )
