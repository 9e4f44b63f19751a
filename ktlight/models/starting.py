"""The classifier that pretraining starts from: random weights, or trained ones with a new head."""

from typing import Any, Literal

from ktlight.errors import UserError
from ktlight.models.build import load_network, new_classifier
from ktlight.models.classifier import Classifier
from ktlight.models.network import classifier_layers
from ktlight.models.spec import ModelConfig


def starting_classifier(
    config: ModelConfig, *, init: Literal["scratch", "hub"], num_classes: int, native_size: int
) -> Classifier:
    """Return what is to be trained on a data set with ``num_classes`` classes.

    Args:
        config: Which model; its checkpoint, if it has one, is what training starts from, whatever ``init`` says.
        init: ``scratch`` for random weights, ``hub`` for the Hub's pretrained ones.
        num_classes: Classes of the data; where the trained weights are for another number, the head is a new one.
        native_size: Short side of the images in pixels, the input size of a model trained from scratch.

    Raises:
        UserError: The weights cannot be had, or the network has no classifier that could be replaced.
    """
    if init not in ("scratch", "hub"):
        raise UserError(f"unknown pretrain.init '{init}': choose scratch or hub, or give student.checkpoint=")
    if config.checkpoint is None and init == "scratch":
        return new_classifier(config, num_classes=num_classes, native_size=native_size)
    network: Any = load_network(config, config.checkpoint)
    if network.num_classes != num_classes:
        network.reset_classifier(num_classes)
    return Classifier.from_network(network, name=config.name, img_size=config.img_size)


def head_parameters(classifier: Classifier) -> set[str]:
    """Return the names of the parameters of the linear head, for training it alone."""
    heads = classifier_layers(classifier.architecture)
    names = {
        name for name, _ in classifier.network.named_parameters() if name.startswith(tuple(f"{h}." for h in heads))
    }
    if not heads or not names:
        raise UserError(f"{classifier.name} has no linear head to train alone: use pretrain.part=all")
    return names
