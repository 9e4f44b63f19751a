"""What a stored output is the output of; two runs share an entry only if all of this is the same."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

FORMAT = 2
"""Version of the files; an entry of another version is never read."""


@dataclass(frozen=True)
class Key:
    """Everything that a model's logits or features are a function of.

    Attributes:
        model: For people: what the model is called.
        weights: Hash of the state dict.
        architecture: Digest of the network's modules and their settings; see `structure`.
        preprocess: Every setting of the model's own preprocessing.
        data: Fingerprint of the images, the labels and the chosen rows.
        transform: Every setting of the views, the seed among them.
        view: Number of the view; -1 for the plain image.
        precision: The kind of device and the trainer's precision.
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


def structure(network: nn.Module) -> str:
    """Return a hash of what a network computes with its weights: its modules, their classes and plain settings.

    Networks may have the same weights and differ all the same: in an activation, in how features are pooled.
    """
    digest = hashlib.sha256()
    for name, module in network.named_modules():
        settings = {key: value for key, value in vars(module).items() if _is_plain(value) and key != "training"}
        kind = f"{type(module).__module__}.{type(module).__qualname__}"
        digest.update(f"{name} {kind} {module.extra_repr()} {sorted(settings.items())}\n".encode())
    for name, buffer in network.named_buffers():  # those outside the state dict too
        digest.update(name.encode())
        digest.update(buffer.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(map(_is_plain, value))
    return isinstance(value, bool | int | float | str)
