"""Comparison of a model's class names with the data's: the same, reordered or different."""

import re
from collections.abc import Sequence
from typing import Any

import torch
from timm.data.imagenet_info import ImageNetInfo, infer_imagenet_subset
from torch import nn

from ktlight.errors import UserError
from ktlight.models.features import classifier_layers
from ktlight.models.libraries.library import library_of_network

SYNSET = re.compile(r"n\d{8}")
SHOWN = 3
MOSTLY = 0.9
"""Share of equal words from which two lists name the same classes in the same order."""


class ForeignClasses(UserError):  # noqa: N818
    """A model's classes are not those of the data."""


def are_names(names: Sequence[str] | None) -> bool:
    """Return whether classes have real names, not just their numbers."""
    return bool(names) and list(names or ()) != [str(number) for number in range(len(names or ()))]


def recorded_names(network: Any, data_names: Sequence[str], *, from_hub: bool) -> tuple[str, ...] | None:
    """Return the class names recorded with a network's weights; None if there are none.

    ImageNet-1k's classes, which timm's weights do not name and others name by words, are called by their WordNet ids if
    the data do that, or by timm's descriptions if the data use those.

    Args:
        network: A library's network, with the record of its weights.
        data_names: Names of the data's classes.
        from_hub: Whether the weights are those that timm records; a bare weights file may be for any classes.
    """
    library = library_of_network(network)
    named = library.class_names(network) if library else None
    recorded = tuple(map(str, named)) if named else None
    if recorded and not are_imagenet(recorded):
        return recorded if are_names(recorded) else None
    if not recorded and not (from_hub and infer_imagenet_subset(network) == "imagenet-1k"):
        return None
    imagenet: Any = ImageNetInfo("imagenet-1k")
    if all(SYNSET.fullmatch(name) for name in data_names):
        return tuple(imagenet.label_names())
    descriptions = tuple(imagenet.label_descriptions())
    return descriptions if set(descriptions) == set(data_names) else recorded


def are_imagenet(names: Sequence[str]) -> bool:
    """Return whether names are words for ImageNet-1k's classes in their standard order.

    Libraries write them in their own ways (``tench``, ``tench, Tinca tinca``), and some words stand for two classes.
    """
    imagenet: Any = ImageNetInfo("imagenet-1k")
    theirs, ours = (
        [re.split("[,(]", name)[0].strip().lower() for name in each] for each in (imagenet.label_descriptions(), names)
    )
    return len(ours) == len(theirs) and sum(map(str.__eq__, ours, theirs)) > MOSTLY * len(theirs)


def class_columns(own: Sequence[str] | None, data_names: Sequence[str], model: str) -> list[int] | None:
    """Return the model's class index of each class of the data; None if the order is the same or unknown.

    >>> class_columns(["cat", "dog", "owl"], ["owl", "cat", "dog"], "teacher")
    [2, 0, 1]

    Args:
        own: Names of the model's classes, as many as the data has.
        data_names: Names of the data's classes.
        model: For the message.

    Raises:
        ForeignClasses: If the classes are different.
    """
    own = list(own or ())
    if not are_names(own) or not are_names(data_names) or own == list(data_names):
        return None
    if len(set(own)) == len(own) and set(own) == set(data_names):
        return [own.index(name) for name in data_names]
    differing = [
        f"{number}: {mine} / {yours}"
        for number, (mine, yours) in enumerate(zip(own, data_names, strict=False))
        if mine != yours
    ]
    more = f" and {len(differing) - SHOWN} more" if len(differing) > SHOWN else ""
    raise ForeignClasses(
        f"the classes of {model} are not those of the data (class: model / data): {', '.join(differing[:SHOWN])}{more}"
        ". Give a model for these classes, fine-tune it with task=pretrain, or name the data's classes with "
        "data.class_names=."
    )


@torch.no_grad()
def reorder_classes(network: nn.Module, columns: Sequence[int], model: str) -> None:
    """Reorder a network's classes in place: logit ``i`` becomes the former logit ``columns[i]``.

    Raises:
        UserError: If the network has no separate layer for the logits.
    """
    layers = classifier_layers(network)
    tensors = [parameter for layer in layers for parameter in layer.parameters()]
    if not tensors or any(len(tensor) != len(columns) for tensor in tensors):
        raise UserError(
            f"the classes of {model} are in another order than the data's, and it has no linear head that could be "
            "re-ordered: save it again with its classes in the order of the data"
        )
    for tensor in tensors:
        tensor.copy_(tensor[list(columns)])
