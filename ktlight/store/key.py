"""The key of a stored output; two runs share an entry only if their keys are equal."""

import hashlib
import json
from dataclasses import asdict, dataclass

FORMAT = 3
"""Version of the file format; entries of other versions are never read."""


@dataclass(frozen=True)
class Key:
    """Everything that a model's logits or features depend on.

    Attributes:
        model: Name of the model, for display only.
        weights: Hash of the state dict.
        architecture: Digest of the network's modules and their settings; see `ktlight.store.structure`.
        preprocess: Every setting of the model's own preprocessing.
        data: Fingerprint of the images, the labels and the chosen rows.
        transform: Every setting of the views, including the seed.
        view: Number of the view; -1 for the plain image.
        precision: The device (a GPU's model name) and the trainer's precision.
        software: Versions of the software that computes.
        form: What is stored, logits or features, and in which form; see `ktlight.store.form`.
    """

    model: str
    weights: str
    architecture: str
    preprocess: str
    data: str
    transform: str
    view: int
    precision: str
    software: str
    form: str

    @property
    def digest(self) -> str:
        """Name of the entry: a hash of the format version and of everything but the model's name."""
        facts = {name: value for name, value in asdict(self).items() if name != "model"} | {"format": FORMAT}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]
