"""Frozen models as sources of logits, computed on demand."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ktlight.models.classifier import Classifier
from ktlight.models.label_map import LabelMap
from ktlight.types import Batch

TILE = 32
TILE_SIDE = 224


class LiveSource:
    """A frozen classifier that is run on demand; not a module, so it stays out of state dicts and DDP.

    Args:
        name: Its role: ``student`` for the initial student, ``teacher``.
        classifier: A frozen copy; see `Classifier.frozen_copy`.
    """

    def __init__(self, name: str, classifier: Classifier) -> None:
        self.name = name
        self.classifier = classifier

    def to(self, device: torch.device) -> None:
        """Move the classifier, in the fastest memory layout for convolutions (docs/performance.md)."""
        self.classifier.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def num_features(self) -> int:
        """Number of features, D.

        Raises:
            UserError: The classifier has no features.
        """
        return self.classifier.feature_tap.width

    @property
    def label_map(self) -> LabelMap | None:
        """How its classes answer in the data's."""
        return self.classifier.label_map

    @torch.no_grad()
    def logits(self, batch: Batch) -> Tensor:
        """Return the logits ``[B, Z]`` in the network's own classes.

        Not under inference mode: its tensors could not enter the student's backward pass.
        """
        logits = torch.cat([self.classifier.own_logits(tile) for tile in tiles(batch["image"])])
        return logits[: len(batch["image"])]

    @torch.no_grad()
    def logits_and_features(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the logits ``[B, Z]`` and the features ``[B, D]`` of one pass, as for `logits`.

        Raises:
            UserError: The classifier has no features.
        """
        answers = [self.classifier.logits_and_features(tile) for tile in tiles(batch["image"])]
        logits, features = (torch.cat(parts)[: len(batch["image"])] for parts in zip(*answers, strict=True))
        return logits, features


def tiles(image: Tensor) -> Sequence[Tensor]:
    """Split a batch of images into parts, padded to a multiple of 32 images; on a CPU only.

    CPU kernels round small and odd batches differently: with padding, a sample's logits do not depend on its batch, and
    stored logits match a live run bit for bit. Splitting keeps activations in the CPU's cache: 32 images of 224 pixels
    per part, more of smaller ones.
    """
    if image.device.type != "cpu":
        return [image]
    filled = torch.cat([image, image[:1].expand(-len(image) % TILE, *image.shape[1:])])
    return filled.split(TILE * max(1, TILE_SIDE**2 // (image.shape[-1] * image.shape[-2])))  # type: ignore[no-any-return, no-untyped-call]
