"""What a stored output is the output of; two runs share an entry only if all of this is the same."""

import hashlib
import json
from dataclasses import asdict, dataclass

FORMAT = 1
"""Version of the files; an entry of another version is never read."""


@dataclass(frozen=True)
class Key:
    """Everything that a model's logits are a function of.

    Attributes:
        model: For people: what the model is called.
        weights: Hash of the state dict.
        preprocess: Every setting of the model's own preprocessing, and its architecture.
        data: Fingerprint of the images, the labels and the chosen rows.
        transform: Every setting of the views, the seed among them.
        view: Number of the view; -1 for the plain image.
        precision: The trainer's precision and the kind of device.
        form: How the logits are kept: ``full``.
    """

    model: str
    weights: str
    preprocess: str
    data: str
    transform: str
    view: int
    precision: str
    form: str = "full"

    @property
    def digest(self) -> str:
        """Name of the entry: a hash of everything but the model's name, and of the format."""
        facts = {name: value for name, value in asdict(self).items() if name != "model"} | {"format": FORMAT}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]
