"""Distillation from routed targets: kl, hinton, xe_kl and, with a router, kl_dp and its variants."""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor
from torch.nn.functional import cross_entropy

from ktlight.functional.losses import (
    kl_divergence_per_sample,
    largest_classes,
    soft_cross_entropy_per_sample,
)
from ktlight.limits import CountOrNull, Positive, Share
from ktlight.methods.base import TransferMethod, taught_mean
from ktlight.methods.optimization import Optimization
from ktlight.models.classifier import Classifier
from ktlight.types import RoutedBatch

SOFT_LOSSES = {"kl": kl_divergence_per_sample, "cross_entropy": soft_cross_entropy_per_sample}


class Distillation(TransferMethod[RoutedBatch]):
    """``mixing * soft(student, target) + (1 - mixing) * cross_entropy(student, label)`` (arXiv 2310.17653, eq. 1 ff.).

    The router writes each sample's target. Samples that it leaves out (source -1) contribute nothing.

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
    """

    routed = True

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
    ) -> None:
        super().__init__(networks[:1], optimization)
        self.name = name
        self.soft_loss = SOFT_LOSSES[soft_loss]
        self.mixing = mixing
        self.temperature = temperature
        self.top_classes = top_classes
        self.double_softmax = double_softmax

    def terms(self, logits_NBC: Sequence[Tensor], batch: RoutedBatch) -> dict[str, Tensor]:
        """Return the soft term, and the label term if its weight is not 0."""
        student_BC = logits_NBC[0]
        soft_B = self.soft_loss(*largest_classes(student_BC, batch["target"], self.top_classes), self.temperature)
        terms = {"soft": self.mixing * taught_mean(soft_B, batch)}
        if self.mixing < 1:
            scores_BC = student_BC.float().softmax(1) if self.double_softmax else student_BC.float()
            label_B = cross_entropy(scores_BC, batch["label"], reduction="none")
            terms["label"] = (1 - self.mixing) * taught_mean(label_B, batch)
        return terms
