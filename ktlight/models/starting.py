"""The classifier that pretraining starts from: random weights, or trained ones with a new head."""

from typing import Literal

from ktlight.errors import UserError
from ktlight.models.build import build_classifier, new_classifier, recorded_config
from ktlight.models.checkpoint import find_checkpoint, read_folder_config, read_state_dict
from ktlight.models.classifier import Classifier
from ktlight.models.hub import HUB_PREFIX
from ktlight.models.spec import ModelConfig
from ktlight.models.zoo import Zoo


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
    trained_for = _trained_classes(config)
    classifier = build_classifier(
        config, num_classes=trained_for, dataset_identity="", fraction=1.0, zoo=Zoo(), hub_labels=True
    )
    if trained_for != num_classes:
        classifier.network.reset_classifier(num_classes)  # type: ignore[operator]
        classifier.num_classes = num_classes
    return classifier


def head_parameters(classifier: Classifier) -> set[str]:
    """Return the names of the parameters of the linear head, for training it alone."""
    layers = classifier.network.pretrained_cfg.get("classifier")  # type: ignore[union-attr, operator]
    heads = (layers,) if isinstance(layers, str) else tuple(layers or ())
    names = {
        name for name, _ in classifier.network.named_parameters() if name.startswith(tuple(f"{h}." for h in heads))
    }
    if not heads or not names:
        raise UserError(f"{classifier.name} has no linear head to train alone: use pretrain.part=all")
    return names


def _trained_classes(config: ModelConfig) -> int:
    """Return how many classes the weights to start from were trained for."""
    recorded = recorded_config(config.architecture)
    if config.checkpoint is None or config.checkpoint.startswith(HUB_PREFIX):
        return int(recorded.num_classes)
    path = find_checkpoint(config.checkpoint)
    if path.is_dir():
        folder = read_folder_config(path)
        return int(folder.get("num_classes") or folder["pretrained_cfg"]["num_classes"])
    layers = recorded.classifier
    layer = layers if isinstance(layers, str) else next(iter(layers or ()), "")
    state = read_state_dict(path)
    if f"{layer}.weight" not in state:
        raise UserError(f"{path} has no classifier layer {layer!r}: is it another model's than {config.architecture}?")
    return len(state[f"{layer}.weight"])
