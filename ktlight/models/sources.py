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

    @property
    def num_features(self) -> int:
        """Number of features, D.

        Raises:
            UserError: The classifier has no features.
        """
        return self.classifier.feature_tap.width

    @torch.no_grad()
    def logits(self, batch: Batch) -> Tensor:
        """Return the logits ``[B, C]``.

        Not under inference mode: its tensors could not enter the student's backward pass. The batch is filled up to a
        multiple of 32, because the kernels of processors round small and odd batches differently: so a sample's logits
        do not depend on the batch it comes in, and stored logits are bit for bit those of a live run.
        """
        logits: Tensor = self.classifier(_filled(batch["image"]))
        return logits[: len(batch["image"])]

    @torch.no_grad()
    def logits_and_features(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the logits ``[B, C]`` and the features ``[B, D]`` of one pass, as for `logits`.

        Raises:
            UserError: The classifier has no features.
        """
        logits, features = self.classifier.logits_and_features(_filled(batch["image"]))
        return logits[: len(batch["image"])], features[: len(batch["image"])]


def _filled(image: Tensor) -> Tensor:
    if image.device.type != "cpu":
        return image
    return torch.cat([image, image[:1].expand(-len(image) % TILE, *image.shape[1:])])
