"""Where a model's weights came from and other recorded facts: one line for people, one mapping for results."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from ktlight.models.preprocess import Preprocess

if TYPE_CHECKING:
    from ktlight.models.classifier import Classifier

FACTS = ("input_size", "crop_pct", "crop_mode", "interpolation", "mean", "std")


@dataclass(frozen=True)
class Provenance:
    """Where the weights of a model came from.

    Attributes:
        source: ``checkpoint``, ``zoo``, ``hub`` or ``python`` (a network given to :func:`ktlight.transfer`).
        location: The checkpoint's path, the name in the zoo or on the Hub, or the network's class.
        trained_now: Whether this run trained it.
        epochs: Training epochs; like the following, None if unknown.
        seed: Seed of its training.
        acc: Accuracy on the validation split, in percent.
        holdout: Share of the training images that were held out from its training.
        data: Identity of the data set it was trained on.
        licence: Licence of the weights, from their record.
    """

    source: Literal["checkpoint", "zoo", "hub", "python"]
    location: str
    trained_now: bool = False
    epochs: int | None = None
    seed: int | None = None
    acc: float | None = None
    holdout: float | None = None
    data: str | None = None
    licence: str | None = None

    def may_have_seen(self, holdout: float) -> bool:
        """Return whether the weights may have been trained on a run's held-out images; only the zoo can rule it out."""
        return self.source != "zoo" or (self.holdout or 0) != holdout

    def __str__(self) -> str:
        facts = f" ({trained_for(self.epochs, self.seed, self.acc)})" if self.source == "zoo" else ""
        without = f", trained without the {100 * self.holdout:g}% held-out images" if self.holdout else ""
        prefix = {"zoo": "trained now, zoo:" if self.trained_now else "zoo:", "hub": "Hugging Face Hub: "}
        return f"{prefix.get(self.source, f'{self.source}: ')}{self.location}{facts}{without}"


def trained_for(epochs: int | None, seed: int | None, acc: float | None) -> str:
    """Return a short description of a training.

    >>> trained_for(20, 0, 83.987)
    '20 epochs, seed 0, 83.99%'
    """
    return f"{epochs} epoch{'s' * (epochs != 1)}, seed {seed}, {acc:.2f}%"


def model_facts(classifier: "Classifier") -> dict[str, Any]:
    """Return the facts about a model that a run's results record; ``weights`` is the current hash."""
    preprocess = classifier.preprocess
    recorded = preprocess.data_config() if isinstance(preprocess, Preprocess) else {}
    facts = {fact: recorded.get(fact) for fact in FACTS}
    return {
        "name": classifier.name,
        "architecture": classifier.architecture,
        "family": type(classifier.network).__module__.rpartition(".")[2],
        "parameters": sum(parameter.numel() for parameter in classifier.network.parameters()),
        "provenance": _recorded(classifier.provenance),
        **{fact: list(value) if isinstance(value, tuple) else value for fact, value in facts.items()},
        "weights": classifier.weights_hash(),
    }


def _recorded(provenance: Provenance | None) -> dict[str, Any] | None:
    """Return the provenance for results, without whether the model had to be trained first, which changes no figure."""
    if provenance is None:
        return None
    return {key: value for key, value in asdict(provenance).items() if key != "trained_now"}


def line(role: str, classifier: "Classifier") -> str:
    """Return one line describing a run's model, the origin of its weights and its preprocessing."""
    preprocess = classifier.preprocess
    says = f"{role}: {classifier.name}, {classifier.provenance}"
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
