"""Building classifiers: with weights from a checkpoint, the local zoo or the Hub, or random ones for pretraining."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from ktlight.errors import UserError
from ktlight.models.class_names import SYNSET, class_columns, recorded_names, reorder_classes
from ktlight.models.classifier import Classifier
from ktlight.models.libraries.library import library_of
from ktlight.models.network import set_input_size
from ktlight.models.provenance import Provenance
from ktlight.models.spec import HUB_PREFIX, ModelConfig
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

    Its preprocessing is taken from ``config``, else from the weights' record, else from its library's default.

    Args:
        config: The model; weights come from its checkpoint, else from where its library keeps them.
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
    """Return the provenance of a checkpoint outside the zoo, or without one of the library's own weights."""
    named = config.checkpoint or config.architecture
    if config.checkpoint is None or library_of(named).prefix:
        return library_of(named).weights(named) or Provenance("hub", named)
    return Provenance("hub" if named.startswith(HUB_PREFIX) else "checkpoint", named)


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
        native_size: Short side of the images in pixels; the size to train at follows from it.

    Raises:
        UserError: If the network cannot be made.
    """
    library = library_of(config.architecture)
    img_size = config.img_size or library.training_size(config.architecture, native_size)
    network = library.create(config, num_classes, img_size)
    options = {"crop_pct": 1.0, **config.preprocessing, "img_size": img_size}
    return Classifier.from_network(network, name=config.name, **options)


def load_network(config: ModelConfig, checkpoint: str | None = None) -> nn.Module:
    """Return the network of a checkpoint, with the classes it was trained for, at the requested input size.

    Args:
        config: The model expected in the checkpoint.
        checkpoint: As in :class:`ModelConfig`; None: the weights that its library records for the model.

    Raises:
        UserError: If the weights cannot be read or belong to another model.
    """
    network = library_of(config.architecture).load(config, checkpoint)
    if config.img_size is not None:
        set_input_size(network, config.img_size)
    return network
