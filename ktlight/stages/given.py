"""Networks that are given from Python, as they are."""

import copy

import torch
from torch import nn

from ktlight.data.dataset import ImageDataset
from ktlight.errors import UserError
from ktlight.models.classifier import Classifier
from ktlight.models.provenance import Provenance


def given_classifier(role: str, network: nn.Module, dataset: ImageDataset) -> Classifier:
    """Return a copy of a network that maps the data's images, as they come, to logits ``[B, C]``.

    Raises:
        UserError: It maps them to something else, or tells another number of classes apart than the data have.
    """
    name = type(network).__name__
    classes = count_logits(network, dataset)
    if classes != dataset.num_classes:
        more = f"; or, if the data do have {classes} classes, name them all with class_names=" * dataset.counted
        raise UserError(
            f"the {role} {name} tells {classes} classes apart, but the data have {dataset.num_classes}: give it a last "
            f"layer of {dataset.num_classes} logits and train that on these labels first{more}"
        )
    classifier = Classifier(copy.deepcopy(network), nn.Identity(), name=name, architecture=name, num_classes=classes)
    classifier.provenance = Provenance("python", name)
    return classifier


@torch.no_grad()
def count_logits(network: nn.Module, dataset: ImageDataset) -> int:
    """Return how many logits a network gives; it is asked about the first held-out image.

    Raises:
        UserError: It gives none.
    """
    logits = copy.deepcopy(network).cpu().eval()(dataset.val.image(0)[None])
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2:
        found = list(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise UserError(f"{type(network).__name__} must map images to logits [batch, classes], but gives {found}")
    return logits.shape[1]
