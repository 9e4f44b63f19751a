"""What is recorded of a run's models: one line for people, one mapping for results."""

from dataclasses import asdict
from typing import Any

from ktlight.models.classifier import Classifier
from ktlight.models.label_words import labels_in_words
from ktlight.models.libraries.adapted import bare
from ktlight.models.preprocess import Preprocess
from ktlight.models.provenance import Provenance

FACTS = ("input_size", "crop_pct", "crop_mode", "interpolation", "mean", "std")


def model_facts(classifier: Classifier) -> dict[str, Any]:
    """Return the facts about a model that a run's results record; ``weights`` is the current hash."""
    preprocess = classifier.preprocess
    recorded = preprocess.data_config() if isinstance(preprocess, Preprocess) else {}
    facts = {fact: recorded.get(fact) for fact in FACTS}
    return {
        "name": classifier.name,
        "architecture": classifier.architecture,
        "family": type(bare(classifier.network)).__module__.rpartition(".")[2].removeprefix("modeling_"),
        "parameters": sum(parameter.numel() for parameter in classifier.network.parameters()),
        "provenance": _recorded(classifier.provenance),
        **{fact: list(value) if isinstance(value, tuple) else value for fact, value in facts.items()},
        "labels": classifier.labels,
        "weights": classifier.weights_hash(),
    }


def _recorded(provenance: Provenance | None) -> dict[str, Any] | None:
    """Return the provenance for results, without whether the model had to be trained first, which changes no figure."""
    if provenance is None:
        return None
    return {key: value for key, value in asdict(provenance).items() if key != "trained_now"}


def line(role: str, classifier: Classifier) -> str:
    """Return one line describing a run's model, the origin of its weights, its classes and its preprocessing."""
    preprocess, labels = classifier.preprocess, labels_in_words(classifier.labels)
    says = f"{role}: {classifier.name}, {classifier.provenance}" + (f"; {labels}" if labels else "")
    if not isinstance(preprocess, Preprocess):
        return says
    config = preprocess.data_config()
    height, width = config["input_size"][1:]
    size = f"{height} px" if height == width else f"{height} x {width} px"
    mean, std = (_channels(config[key]) for key in ("mean", "std"))
    crop = f"crop {config['crop_pct']:g} {config['crop_mode']}"
    return f"{says}; {size}, {crop}, {config['interpolation']}, mean {mean}, std {std}"


def _channels(values: tuple[float, ...]) -> str:
    return "/".join(f"{value:g}" for value in (values[:1] if len(set(values)) == 1 else values))
