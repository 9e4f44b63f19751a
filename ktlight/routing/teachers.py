"""Routing rules for several teachers that teach together, without the initial student.

The source counted as the teacher of a sample is the one with the largest weight; ties go to the first.
"""

import torch
from torch import Tensor

from ktlight.errors import UserError
from ktlight.functional.confidence import entropy, log_confidence
from ktlight.functional.mixing import mixed_target, weights_by_loss
from ktlight.routing.rules import Routing, RoutingRule
from ktlight.types import Batch


class Average(RoutingRule):
    """The target is the mean of the teachers' probabilities: an ensemble as the teacher (Hinton et al., 2015)."""

    teachers_only = True
    has_features = False  # no teacher has more of the target than the others

    def __call__(self, logits_MBC: Tensor, batch: Batch, student_BC: Tensor | None) -> Routing:
        """Return the first teacher and the mean."""
        alike_MB = torch.zeros_like(logits_MBC[..., 0]).log_softmax(0)
        return Routing(torch.zeros_like(batch["label"]), mixed_target(logits_MBC, alike_MB))


class EntropyWeights(RoutingRule):
    """The lower the entropy of a teacher's prediction, the larger its weight in the target; needs no labels.

    The weights of `CAMKD` with the entropy in place of the cross entropy (distillation based on entropy: Kwon et al.,
    ICASSP 2020).
    """

    teachers_only = True
    needs_full_logits = True

    def __call__(self, logits_MBC: Tensor, batch: Batch, student_BC: Tensor | None) -> Routing:
        """Return the teacher with the lowest entropy, and the weighted target."""
        return _weighted(logits_MBC, entropy(logits_MBC))


class CAMKD(RoutingRule):
    """The lower the cross entropy of a teacher with the label, the larger its weight in the target.

    Confidence-aware multi-teacher distillation (Zhang, Chen and Wang, ICASSP 2022), on logits.

    Args:
        use_labels: Must be true: `EntropyWeights` is the same without labels.

    Raises:
        UserError: If it is to use no labels.
    """

    teachers_only = True

    def __init__(self, use_labels: bool) -> None:
        if not use_labels:
            raise UserError(
                "router=camkd weighs the teachers by their cross entropy with the labels: without labels use "
                "router=entropy_weights"
            )

    def __call__(self, logits_MBC: Tensor, batch: Batch, student_BC: Tensor | None) -> Routing:
        """Return the teacher with the lowest cross entropy, and the weighted target."""
        return _weighted(logits_MBC, -log_confidence(logits_MBC, batch["label"]))


def _weighted(logits_MBC: Tensor, losses_MB: Tensor) -> Routing:
    return Routing(losses_MB.argmin(0), mixed_target(logits_MBC, weights_by_loss(losses_MB)))
