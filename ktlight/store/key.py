"""What a stored output is the output of; two runs share an entry only if all of this is the same."""

import hashlib
import json
from dataclasses import asdict, dataclass

FORMAT = 3
"""Version of the files; an entry of another version is never read."""


@dataclass(frozen=True)
class Key:
    """Everything that a model's logits or features are a function of.

    Attributes:
        model: For people: what the model is called.
        weights: Hash of the state dict.
        architecture: Digest of the network's modules and their settings; see `ktlight.store.structure`.
        preprocess: Every setting of the model's own preprocessing.
        data: Fingerprint of the images, the labels and the chosen rows.
        transform: Every setting of the views, the seed among them.
        view: Number of the view; -1 for the plain image.
        precision: The device, a GPU by its model, and the trainer's precision.
        software: Versions of the software that computes.
        form: What is kept, logits or features, and how; see `ktlight.store.form`.
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
        """Name of the entry: a hash of everything but the model's name, and of the format."""
        facts = {name: value for name, value in asdict(self).items() if name != "model"} | {"format": FORMAT}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]
