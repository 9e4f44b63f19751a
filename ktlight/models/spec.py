"""What a user says about a model; plain data, free of torch."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class ModelConfig:
    """One model of a run.

    Attributes:
        name: What the user called it: an alias (``vit_b``) or a timm name. It appears in tables and folders.
        architecture: timm's name, optionally with the tag of the Hub weights (``resnet50.a1_in1k``);
            see :func:`ktlight.models.names.resolve`.
        checkpoint: Weights to start from: a safetensors file, a weights-only ``.pt`` or ``.pth`` file, a timm folder
            or ``hf-hub:organisation/name``. None looks in the local zoo, then on the Hub.
        img_size: Side of the square input in pixels. None takes what the checkpoint records.
        kwargs: Further arguments of the architecture's constructor.
    """

    name: str
    architecture: str
    checkpoint: str | None = None
    img_size: int | None = None
    kwargs: dict[str, Any] = field(default_factory=dict)
