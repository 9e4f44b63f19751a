"""Where a model's weights came from."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Provenance:
    """Where the weights of a model came from.

    Attributes:
        source: ``checkpoint``, ``zoo``, ``hub`` (the Hugging Face Hub), ``torchvision`` (its own weights) or
            ``python`` (a network given to :func:`ktlight.transfer`).
        location: The checkpoint's path, the name in the zoo or on the Hub, or the network's class.
        trained_now: Whether this run trained it.
        epochs: Training epochs; like the following, None if unknown.
        seed: Seed of its training.
        acc: Accuracy on the validation split, in percent.
        holdout: Share of the training images that were held out from its training.
        data: Identity of the data set it was trained on.
        licence: Licence of the weights, from their record.
    """

    source: Literal["checkpoint", "zoo", "hub", "torchvision", "python"]
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

    @property
    def is_remote(self) -> bool:
        """Whether the weights may have to be fetched first."""
        return self.source in ("hub", "torchvision")

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
