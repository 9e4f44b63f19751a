"""A head in other classes: the rows of a network's classifier layers, taken by a label map."""

from math import log

import torch
from torch import Tensor, nn

from ktlight.errors import UserError
from ktlight.models.classifier import Classifier
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
            f"{name} needs a head for the data's classes here, and its labels are {label_map.how}: rows of a head can "
            "be taken over only by a map that gives each class of the model whole to one of the data's. Say that of "
            "the teachers alone (teacher.labels=, teacher.label_map=), and of this one labels=auto, synset or names"
        )
    own, num_classes = label_map.own_classes, label_map.num_classes
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    # What has rows of classes, an auxiliary head too, is what has one more with one class more.
    wider = _with_head_of(network, own + 1)
    rows = {key for key, tensor in wider.items() if key in before and tensor.shape != before[key].shape}
    if not rows or wider.keys() != before.keys() or any(len(before[key]) != own for key in rows):
        if wider:
            _with_head_of(network, own)
            network.load_state_dict(before)
        raise NoRows(
            f"{name} answers in other classes than the data's, and it has no layer with a row for each class whose "
            "rows could be taken over: give it a head for these classes and train it, or let it teach only"
        )
    _with_head_of(network, num_classes)
    sliced = {key: _rows(before[key], label_map, before[key].ndim == 1) for key in rows}
    network.load_state_dict(before | sliced)
    classifier.__dict__.pop("feature_tap", None)  # which listened to the old layer
    names = classifier.class_names or tuple(map(str, range(num_classes)))
    classifier.sliced = label_map.facts(names)
    classifier.label_map, classifier.num_classes = None, num_classes
    if classifier.frozen:
        classifier.freeze()


def _with_head_of(network: nn.Module, num_classes: int) -> dict[str, Tensor]:
    """Give a network a new head; return its state, which is empty if it cannot get one."""
    if not hasattr(network, "reset_classifier"):
        return {}
    with torch.random.fork_rng(devices=[]):  # the new layer's own initial values are overwritten
        network.reset_classifier(num_classes)  # type: ignore[operator]
    return dict(network.state_dict())


def _rows(tensor_Z: Tensor, label_map: LabelMap, is_bias: bool) -> Tensor:
    """Return the rows of the data's classes, ``[C, ...]``."""
    rows = []
    for columns_K in label_map.columns_CK:
        columns = columns_K[columns_K < label_map.own_classes].to(tensor_Z.device)
        row = tensor_Z[columns].mean(0) if len(columns) else tensor_Z.mean(0)
        rows.append(row + log(len(columns)) if is_bias and len(columns) > 1 else row)
    return torch.stack(rows)
