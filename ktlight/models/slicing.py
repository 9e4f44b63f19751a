"""A head in other classes: the rows of a network's classifier layers, taken by a label map."""

from math import log

import torch
from torch import Tensor, nn

from ktlight.errors import UserError
from ktlight.models.classifier import Classifier
from ktlight.models.features import classifier_layers
from ktlight.models.label_map import LabelMap


class NoRows(UserError):  # noqa: N818
    """A network has no head of separate rows."""


@torch.no_grad()
def slice_head(classifier: Classifier, label_map: LabelMap) -> None:
    """Give a classifier, in place, a head for the data's classes that starts as a zero-shot classifier of them.

    A class takes the row, weights and bias, of the network's class that maps to it. If there are several, it takes
    their mean, and the logarithm of their number in the bias: the largest affine lower bound that treats them alike of
    the log-sum-exp that the map computes. A class that none maps to starts at the mean of all rows.

    Raises:
        NoRows: If the network has no head of separate rows.
        UserError: If the map shares a class among several.
    """
    name, network = classifier.name, classifier.network
    if label_map.weights_ZC is not None:
        raise UserError(
            f"{name} is to learn, and its labels are {label_map.how}: rows of a head can be taken over only by a map "
            "that gives each class of the model whole to one class of the data; choose labels=auto, synset or names"
        )
    states = [_state(layer, label_map) for layer in classifier_layers(network)]
    if not states or None in states:
        raise NoRows(
            f"{name} answers in other classes than the data's, and it has no layer with a row for each class whose "
            "rows could be taken over: give it a head for these classes and train it, or let it teach only"
        )
    if not label_map.reorders:
        with torch.random.fork_rng(devices=[]):  # the new layer's own initial values are overwritten
            network.reset_classifier(label_map.num_classes)  # type: ignore[operator]
    for layer, state in zip(classifier_layers(network), states, strict=True):
        layer.load_state_dict(state or {})
    names = classifier.class_names or tuple(map(str, range(label_map.num_classes)))
    classifier.sliced = label_map.facts(names)
    classifier.label_map, classifier.num_classes = None, label_map.num_classes


def _state(layer: nn.Module, label_map: LabelMap) -> dict[str, Tensor] | None:
    """Return the state of a classifier layer with the rows of the data's classes; None if it has no rows of classes."""
    state = dict(layer.state_dict())
    linear = [(name, part) for name, part in layer.named_modules() if isinstance(part, nn.Linear | nn.Conv2d)]
    if len(linear) != 1 or len(linear[0][1].weight) != label_map.own_classes:
        return None
    prefix = f"{linear[0][0]}." if linear[0][0] else ""
    for key in (f"{prefix}weight", f"{prefix}bias"):
        if key in state:  # what else there is, such as a normalisation, stays
            state[key] = _rows(state[key], label_map, key.endswith("bias"))
    return state


def _rows(tensor_Z: Tensor, label_map: LabelMap, is_bias: bool) -> Tensor:
    """Return the rows of the data's classes, ``[C, ...]``."""
    rows = []
    for columns_K in label_map.columns_CK:
        columns = columns_K[columns_K < label_map.own_classes].to(tensor_Z.device)
        row = tensor_Z[columns].mean(0) if len(columns) else tensor_Z.mean(0)
        rows.append(row + log(len(columns)) if is_bias and len(columns) > 1 else row)
    return torch.stack(rows)
