"""The classifier that pretraining starts from: random weights, or trained ones, with a head for the data's classes."""

from collections.abc import Sequence
from typing import Any, Literal

from ktlight.errors import UserError
from ktlight.models.build import find_labels, load_network, new_classifier, provenance_of
from ktlight.models.classifier import Classifier
from ktlight.models.features import classifier_layers
from ktlight.models.label_spaces import ForeignClasses
from ktlight.models.slicing import NoRows, slice_head
from ktlight.models.spec import ModelConfig


def starting_classifier(
    config: ModelConfig,
    *,
    init: Literal["scratch", "hub"],
    class_names: Sequence[str],
    native_size: int,
    wnids: Sequence[str] | None = None,
) -> Classifier:
    """Return the classifier to train on a data set.

    Args:
        config: The model; if it has a checkpoint, training starts from that, whatever ``init`` says.
        init: ``scratch`` for random weights, ``hub`` for the Hub's pretrained ones.
        class_names: Names of the data's classes. If the trained weights are for others, the head takes over the rows of
            those that are found among them; if that cannot be, it is a new one.
        native_size: Short side of the images in pixels, the input size of a model trained from scratch.
        wnids: WordNet ids of the data's classes, if known.

    Raises:
        UserError: If the weights are not available, the network has no classifier to replace, or there is no such map
            to the data's classes as the options ask for.
    """
    if init not in ("scratch", "hub"):
        raise UserError(f"unknown pretrain.init '{init}': choose scratch or hub, or give student.checkpoint=")
    if config.checkpoint is None and init == "scratch":
        return new_classifier(config, num_classes=len(class_names), native_size=native_size)
    network: Any = load_network(config, config.checkpoint)
    classifier = Classifier.from_network(network, name=config.name, **config.preprocessing)
    classifier.provenance, classifier.class_names = provenance_of(config), tuple(class_names)
    try:
        label_map, _ = find_labels(network, config, class_names, wnids)
        if label_map is not None:
            slice_head(classifier, label_map)
    except (ForeignClasses, NoRows):
        network.reset_classifier(len(class_names))
        classifier.num_classes = len(class_names)
    return classifier


def head_parameters(classifier: Classifier) -> set[str]:
    """Return the names of the parameters of the linear head, for training it alone."""
    heads = {parameter for layer in classifier_layers(classifier.network) for parameter in layer.parameters()}
    names = {name for name, parameter in classifier.network.named_parameters() if parameter in heads}
    if not names:
        raise UserError(f"{classifier.name} has no linear head to train alone: use pretrain.part=all")
    return names
