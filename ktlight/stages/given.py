"""Networks that are given from Python, as they are."""

import copy
from collections.abc import Sequence

import torch
from torch import nn

from ktlight.data.dataset import ImageDataset
from ktlight.errors import UserError
from ktlight.functional.label_spaces import NONE
from ktlight.models.classifier import Classifier
from ktlight.models.label_map import LEARNED, LabelMap, map_to_learn
from ktlight.models.provenance import Provenance
from ktlight.models.slicing import slice_head

GIVEN = "given"


def given_classifier(
    role: str, network: nn.Module, dataset: ImageDataset, labels: str | Sequence[int] = "same"
) -> Classifier:
    """Return a copy of a network that maps the data's images, as they come, to logits ``[B, C]``.

    Args:
        role: Its role; a student takes over the rows of its head that a map names.
        network: The network.
        dataset: The data.
        labels: ``same``; ``learned``; or the data's class of each of its own, -1 for none.

    Raises:
        UserError: It maps them to something else, or tells other classes apart than the data have.
    """
    name = type(network).__name__
    classes = count_logits(network, dataset)
    label_map = _label_map(f"the {role} {name}", classes, dataset, labels)
    classifier = Classifier(copy.deepcopy(network), nn.Identity(), name=name, architecture=name, num_classes=classes)
    classifier.provenance = Provenance("python", name)
    if label_map is not None and role == "student":
        slice_head(classifier, label_map)
    elif label_map is not None:
        classifier.answer_in(label_map)
    return classifier


def _label_map(who: str, classes: int, dataset: ImageDataset, labels: str | Sequence[int]) -> LabelMap | None:
    if not isinstance(labels, str):
        return _listed_map(who, classes, dataset, list(labels))
    if labels == LEARNED:
        return map_to_learn(classes, dataset.num_classes)
    if classes == dataset.num_classes:
        return None
    more = f"; or, if the data do have {classes} classes, name them all with class_names=" * dataset.counted
    raise UserError(
        f"{who} tells {classes} classes apart, but the data have {dataset.num_classes}: say with labels= which are "
        "which (a list of the data's class for each of its own, -1 for none, or 'learned'), or give it a last layer of "
        f"{dataset.num_classes} logits and train that on these labels first{more}"
    )


def _listed_map(who: str, classes: int, dataset: ImageDataset, listed: Sequence[int]) -> LabelMap:
    if len(listed) != classes:
        raise UserError(f"labels lists {len(listed)} classes, but {who} tells {classes} apart: give one for each")
    if wrong := [each for each in listed if isinstance(each, bool) or each not in range(NONE, dataset.num_classes)]:
        raise UserError(
            f"labels has {wrong[0]!r} for a class of {who}: give a class of the data, 0 to {dataset.num_classes - 1}, "
            "or -1 for none"
        )
    label_map = LabelMap([int(each) for each in listed], dataset.num_classes, GIVEN)
    if not label_map.covered:
        raise UserError(f"labels maps no class of {who} to a class of the data: there is nothing that it could say")
    return label_map


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
