"""Distillation from routed targets: kl, hinton, xe_kl and, with a router, kl_dp and its variants."""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from ktlight.functional.losses import (
    kl_divergence_per_sample,
    largest_classes,
    soft_cross_entropy_per_sample,
)
from ktlight.limits import CountOrNull, Positive, Share
from ktlight.methods.logits import LogitMethod
from ktlight.methods.optimization import Optimization
from ktlight.models.classifier import Classifier
from ktlight.types import RoutedBatch

SOFT_LOSSES = {"kl": kl_divergence_per_sample, "cross_entropy": soft_cross_entropy_per_sample}


class Distillation(LogitMethod):
    """``mixing * soft(student, target) + (1 - mixing) * cross_entropy(student, label)`` (arXiv 2310.17653, eq. 1 ff.).

    Args:
        networks: The student alone.
        optimization: Optimiser and learning rate.
        name: Name of the method in results.
        soft_loss: ``kl``, or ``cross_entropy`` with soft targets (Hinton et al., 2015).
        mixing: Lambda, the weight of the soft term.
        temperature: T of the soft term, which is multiplied by T^2.
        top_classes: Number of the target's largest classes that the soft term covers, both sides renormalised over
            them; None for all. The paper's public code uses 1000, and 100 with weight interpolation.
        double_softmax: Compute the label term's cross entropy from probabilities, not logits, as the public code does.
        standardize_logits: Standardise the logits on both sides of the soft term, over all classes.
    """

    needs_full_logits = False

    def __init__(
        self,
        networks: Sequence[Classifier],
        optimization: Optimization,
        *,
        name: str,
        soft_loss: Literal["kl", "cross_entropy"],
        mixing: Share,
        temperature: Positive,
        top_classes: CountOrNull = None,
        double_softmax: bool = False,
        standardize_logits: bool = False,
    ) -> None:
        super().__init__(
            networks, optimization, name=name, weight=mixing, label_weight=1 - mixing,
            standardize_logits=standardize_logits,
        )  # fmt: skip
        self.soft_loss = SOFT_LOSSES[soft_loss]
        self.temperature = temperature
        self.top_classes = top_classes
        self.double_softmax = double_softmax

    def soft_losses(self, student_BC: Tensor, target_BC: Tensor, batch: RoutedBatch) -> Tensor:
        """Return the divergence or the cross entropy of each sample, ``[B]``."""
        return self.soft_loss(*largest_classes(student_BC, target_BC, self.top_classes), self.temperature)
