"""Building classifiers: with weights from a checkpoint, the local zoo or the Hub, or random ones for pretraining."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from ktlight.models.class_names import classes_of_network, named_classes
from ktlight.models.classifier import Classifier
from ktlight.models.label_map import LabelMap
from ktlight.models.label_spaces import are_comparable, find_label_map
from ktlight.models.libraries.library import library_of
from ktlight.models.network import set_input_size
from ktlight.models.provenance import Provenance
from ktlight.models.slicing import slice_head
from ktlight.models.spec import HUB_PREFIX, ModelConfig
from ktlight.models.zoo import Entry


def build_classifier(
    config: ModelConfig,
    provenance: Provenance,
    *,
    class_names: Sequence[str],
    wnids: Sequence[str] | None = None,
    data_identity: str | None = None,
    learns: bool = False,
) -> Classifier:
    """Return a trained classifier that answers in the data's classes.

    Its preprocessing is taken from ``config``, else from the weights' record, else from its library's default.

    Args:
        config: The model; weights come from its checkpoint, else from where its library keeps them.
        provenance: Where these weights came from.
        class_names: Names of the data's classes.
        wnids: Their WordNet ids, if known; a model may name its classes by these.
        data_identity: Identity of the data; a model trained on it uses its labels, whatever they were called.
        learns: Whether it is to learn: if its classes are others, its head is sliced, and not what it says mapped.

    Raises:
        UserError: If the weights cannot be read, or belong to another model or to classes without a map to these.
    """
    network: Any = load_network(config, config.checkpoint)
    classifier = Classifier.from_network(network, name=config.name, **config.preprocessing)
    classifier.provenance = provenance
    at_home = provenance.data is not None and provenance.data == data_identity
    if at_home and config.label_map is None and network.num_classes == len(class_names):
        classifier.class_names = tuple(class_names)
        return classifier
    label_map, known = find_labels(network, config, class_names, wnids)
    classifier.class_names = tuple(class_names) if known else None
    if label_map is not None and learns:
        slice_head(classifier, label_map)
    elif label_map is not None:
        classifier.answer_in(label_map)
    return classifier


def find_labels(
    network: Any, config: ModelConfig, class_names: Sequence[str], wnids: Sequence[str] | None = None
) -> tuple[LabelMap | None, bool]:
    """Return the map from a network's classes to the data's, None if they are the same, and whether that is known.

    It is not where nothing but their number says that they are the same.

    Raises:
        ForeignClasses: With ``labels=auto``, the classes are others, and no map is found.
        UserError: There is no such map as the options ask for.
    """
    from_hub = config.checkpoint is None or config.checkpoint.startswith(HUB_PREFIX)
    own = classes_of_network(network, len(class_names), from_hub=from_hub)
    data = named_classes(class_names, wnids)
    label_map = find_label_map(own, data, config.name, config.labels, config.label_map)
    return label_map, label_map is not None or config.labels == "same" or are_comparable(own, data)


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
