"""Frozen models as sources of logits, computed whenever they are asked for."""

import torch
from torch import Tensor

from ktlight.models.classifier import Classifier
from ktlight.types import Batch


class LiveSource:
    """A frozen classifier that answers by running; it is no module, so it stays outside state dicts and DDP.

    Args:
        name: Its role: ``student`` for the initial student, ``teacher``.
        classifier: A frozen copy; see `Classifier.frozen_copy`.
    """

    def __init__(self, name: str, classifier: Classifier) -> None:
        self.name = name
        self.classifier = classifier

    def to(self, device: torch.device) -> None:
        """Move the classifier."""
        self.classifier.to(device)

    @torch.no_grad()
    def logits(self, batch: Batch) -> Tensor:
        """Return the logits ``[B, C]``.

        Not under inference mode: its tensors could not enter the student's backward pass.
        """
        logits: Tensor = self.classifier(batch["image"])
        return logits
