"""Building classifiers: with weights from a checkpoint, the local zoo or the Hub, or random ones for pretraining."""

from collections.abc import Mapping, Sequence
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
from ktlight.models.class_names import SYNSET, class_columns, recorded_names, reorder_classes
from ktlight.models.classifier import Classifier
from ktlight.models.hub import load_from_hub
from ktlight.models.network import (
    classifier_layers,
    create,
    create_network,
    recorded_config,
    set_input_size,
    training_size,
)
from ktlight.models.provenance import Provenance
from ktlight.models.recipe import HUB_PREFIX
from ktlight.models.spec import ModelConfig
from ktlight.models.zoo import Entry


def build_classifier(
    config: ModelConfig,
    provenance: Provenance,
    *,
    class_names: Sequence[str],
    wnids: Sequence[str] | None = None,
    data_identity: str | None = None,
) -> Classifier:
    """Return a trained classifier whose logits are in the order of the data's classes.

    Its preprocessing is taken from ``config``, else from the weights' record, else from timm's default.

    Args:
        config: The model; weights come from its checkpoint, else from the Hub.
        provenance: Where these weights came from.
        class_names: Names of the data's classes; a model with the same names in another order is reordered.
        wnids: Their WordNet ids, if known; a model may name its classes by these.
        data_identity: Identity of the data; a model trained on it uses its labels, whatever they were called.

    Raises:
        UserError: If the weights cannot be read, or belong to another model or to other classes.
    """
    network: Any = load_network(config, config.checkpoint)
    if network.num_classes != len(class_names):
        raise UserError(
            f"The weights of {config.name} are for {network.num_classes} classes, but the data has {len(class_names)}. "
            "Give a checkpoint for these classes, or fine-tune this one with task=pretrain."
        )
    at_home = provenance.data is not None and provenance.data == data_identity
    names = tuple(class_names) if at_home else align_classes(network, class_names, config, wnids)
    classifier = Classifier.from_network(network, name=config.name, **config.preprocessing)
    classifier.provenance, classifier.class_names = provenance, names
    return classifier


def align_classes(
    network: Any, class_names: Sequence[str], config: ModelConfig, wnids: Sequence[str] | None = None
) -> tuple[str, ...] | None:
    """Reorder a network's classes in place to match the data's; return their names, if known.

    Classes are compared by name, or by WordNet id if both sides have one.

    Raises:
        ForeignClasses: If the classes are different.
    """
    from_hub = config.checkpoint is None or config.checkpoint.startswith(HUB_PREFIX)
    own = recorded_names(network, wnids or class_names, from_hub=from_hub)
    by_wnids = bool(own and wnids and all(map(SYNSET.fullmatch, own)))
    columns = class_columns(own, wnids if by_wnids and wnids else class_names, config.name)
    if columns is not None:
        reorder_classes(network, columns, config.name)
    return own if columns is None and not by_wnids else tuple(class_names)


def provenance_of(config: ModelConfig) -> Provenance:
    """Return the provenance of a checkpoint outside the zoo, or without one of the Hub's weights."""
    if config.checkpoint is None or config.checkpoint.startswith(HUB_PREFIX):
        recorded = recorded_config(config.architecture)
        location = config.checkpoint or recorded.hf_hub_id or config.architecture
        return Provenance("hub", location, licence=None if config.checkpoint else recorded.license)
    return Provenance("checkpoint", config.checkpoint)


def entry_provenance(entry: Entry, *, trained_now: bool = False) -> Provenance:
    """Return the provenance of a model from the zoo."""
    record = entry.record
    return Provenance(
        "zoo",
        entry.name,
        trained_now=trained_now,
        epochs=record["epochs"],
        seed=record["seed"],
        acc=record["acc"],
        holdout=record["recipe"]["data"].get("holdout") or None,
        data=record["recipe"]["data"]["identity"],
        licence=record.get("licence"),
    )


def new_classifier(config: ModelConfig, *, num_classes: int, native_size: int) -> Classifier:
    """Return a classifier with random weights, for pretraining only.

    Args:
        config: The model; its checkpoint is ignored.
        num_classes: Number of classes of the data.
        native_size: Short side of the images in pixels; see :func:`training_size`.

    Raises:
        UserError: If the network cannot be made.
    """
    img_size = config.img_size or training_size(config.architecture, native_size)
    network = create_network(config, num_classes, img_size)
    options = {"crop_pct": 1.0, **config.preprocessing, "img_size": img_size}
    return Classifier.from_network(network, name=config.name, **options)


def load_network(config: ModelConfig, checkpoint: str | None = None) -> nn.Module:
    """Return the network of a checkpoint, with the classes it was trained for, at the requested input size.

    Args:
        config: The model expected in the checkpoint.
        checkpoint: As in :class:`ModelConfig`; None uses the Hub weights that timm records for the model.

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
    """Return the output size of the last layer in a state dict, or the one timm records if there is no such layer."""
    weights = (f"{layer}.weight" for layer in classifier_layers(architecture))
    lengths = (len(state[weight]) for weight in weights if weight in state)
    return next(lengths, recorded_config(architecture).num_classes)
