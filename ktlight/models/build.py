"""Making classifiers: with weights from a checkpoint, the local zoo or the Hub, or new ones for pretraining."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ktlight.errors import UserError
from ktlight.models.checkpoint import (
    compare,
    find_checkpoint,
    load_state,
    load_weights,
    read_folder_config,
    read_state_dict,
)
from ktlight.models.classifier import Classifier
from ktlight.models.hub import HUB_PREFIX, load_from_hub
from ktlight.models.network import (
    classifier_layers,
    create,
    create_network,
    recorded_config,
    set_input_size,
    training_size,
)
from ktlight.models.spec import ModelConfig
from ktlight.models.zoo import TrainingShare, Zoo


class MissingWeights(UserError):  # noqa: N818  (what is missing, not what failed: the task may go and make them)
    """No trained weights of a model were found for the data; they are never replaced by random ones."""


def build_classifier(
    config: ModelConfig,
    *,
    num_classes: int,
    dataset_identity: str,
    share: TrainingShare,
    zoo: Zoo,
    hub_labels: bool = False,
) -> Classifier:
    """Return a trained classifier: of its checkpoint, else of the local zoo, else of the Hub.

    Its input size is ``config.img_size``, else what the checkpoint records, else timm's default.

    Args:
        config: Which model, and where its weights are.
        num_classes: Number of classes of the data.
        dataset_identity: Identity of the data, see :class:`Zoo`.
        share: Part of the training split in use, see :meth:`Zoo.find`.
        zoo: Models trained earlier.
        hub_labels: Whether the data's labels are those of ImageNet-1k in the standard order, as on the Hub.

    Raises:
        MissingWeights: If there are none.
        UserError: If the weights cannot be read or belong to another model or number of classes.
    """
    if config.checkpoint:
        network = load_network(config, config.checkpoint)
    elif folder := zoo.find(config, dataset_identity, share):
        network = _load_entry(config, folder)
    elif hub_labels and recorded_config(config.architecture).has_weights:
        network = load_network(config)
    else:
        raise MissingWeights(
            f"There are no trained weights of {config.name} for this data. Give its checkpoint=FILE (safetensors, .pt, "
            f"a timm folder or hf-hub:ID), or train it first with: task=pretrain student={config.name} and the same "
            "data options."
        )
    _check_classes(network, config, num_classes)
    return Classifier.from_network(network, name=config.name, img_size=config.img_size)


def new_classifier(config: ModelConfig, *, num_classes: int, native_size: int) -> Classifier:
    """Return a classifier with random weights, for pretraining alone.

    Args:
        config: Which model; its checkpoint plays no part.
        num_classes: Number of classes of the data.
        native_size: Short side of the images in pixels; see :func:`training_size`.

    Raises:
        UserError: If the network cannot be made.
    """
    img_size = config.img_size or training_size(config.architecture, native_size)
    network = create_network(config, num_classes, img_size)
    return Classifier.from_network(network, name=config.name, img_size=img_size, crop_pct=1.0)


def load_network(config: ModelConfig, checkpoint: str | None = None) -> nn.Module:
    """Return the network of a checkpoint, with as many classes as it was trained for, at the input size asked for.

    Args:
        config: Which model is expected there.
        checkpoint: As in :class:`ModelConfig`; None takes the weights on the Hub that timm records for the model.

    Raises:
        UserError: If the weights cannot be read or belong to another model.
    """
    network: Any
    if checkpoint is None:
        network = load_from_hub(config, config.architecture)
    elif checkpoint.startswith(HUB_PREFIX):
        network = load_from_hub(config, checkpoint)
        _check_architecture(config, network.pretrained_cfg["architecture"], checkpoint)
    elif (path := find_checkpoint(checkpoint)).is_dir():
        _check_architecture(config, read_folder_config(path)["architecture"], checkpoint)
        network = create(f"local-dir:{path}", dict(config.kwargs))
        load_weights(network, path)
    else:
        network = _load_file(config, path)
    if config.img_size is not None:
        set_input_size(network, config.img_size)
    return network  # type: ignore[no-any-return]


def _load_entry(config: ModelConfig, folder: Path) -> nn.Module:
    try:
        return load_network(config, str(folder))
    except UserError as error:
        raise UserError(f"{error} It was trained here earlier: delete {folder} to have it trained anew.") from error


def _check_classes(network: nn.Module, config: ModelConfig, num_classes: int) -> None:
    if network.num_classes != num_classes:
        raise UserError(
            f"The weights of {config.name} are for {network.num_classes} classes, but the data has {num_classes}. "
            "Give a checkpoint for these classes, or fine-tune this one with task=pretrain."
        )


def _check_architecture(config: ModelConfig, found: str, checkpoint: str) -> None:
    if found != config.architecture.partition(".")[0]:
        raise UserError(f"{checkpoint} is a {found}, not a {config.architecture}; name that model instead.")


def _load_file(config: ModelConfig, path: Path) -> nn.Module:
    state = read_state_dict(path)
    num_classes = _classes_of(state, config.architecture)
    network = create_network(config, num_classes, config.img_size)
    if config.img_size is not None and compare(network, state):  # weights of the default size, to be resampled
        network = create_network(config, num_classes)
    load_state(network, state, path)
    return network


def _classes_of(state: Mapping[str, Tensor], architecture: str) -> int:
    """Return the length of the last layer's output in a state dict, or what timm records if there is no such layer."""
    weights = (f"{layer}.weight" for layer in classifier_layers(architecture))
    lengths = (len(state[weight]) for weight in weights if weight in state)
    return next(lengths, recorded_config(architecture).num_classes)
