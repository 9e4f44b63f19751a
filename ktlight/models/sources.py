"""Frozen models as sources of logits, computed whenever they are asked for."""

import torch
from torch import Tensor

from ktlight.models.classifier import Classifier
from ktlight.types import Batch

TILE = 32


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

        Not under inference mode: its tensors could not enter the student's backward pass. The batch is filled up to a
        multiple of 32, because the kernels of processors round small and odd batches differently: so a sample's logits
        do not depend on the batch it comes in, and stored logits are bit for bit those of a live run.
        """
        image = batch["image"]
        if image.device.type != "cpu":
            answer: Tensor = self.classifier(image)
            return answer
        filling = image[:1].expand(-len(image) % TILE, *image.shape[1:])
        logits: Tensor = self.classifier(torch.cat([image, filling]))
        return logits[: len(image)]
