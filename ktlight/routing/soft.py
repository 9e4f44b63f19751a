"""Soft data partitioning: all sources teach together."""

from collections.abc import Mapping

from torch import Tensor

from ktlight.functional.confidence import log_confidence
from ktlight.functional.mixing import mixed_target, soft_weights
from ktlight.functional.pooling import pool_weights, pooled_target
from ktlight.limits import NotNegative, Positive
from ktlight.routing.confidence import ComparingRule
from ktlight.routing.rules import Routing, RoutingRule, check_held_out
from ktlight.types import Batch


class Soft(ComparingRule):
    """All sources teach together: the target is the mean of their probabilities, weighted by confidence.

    The source counted as the teacher of a sample is the one with the largest weight.

    Args:
        temperature: Of the weights ``softmax_m(log p_m / temperature)``: near 0 only the most confident source counts;
            towards infinity all count equally.
        use_labels: Weight by the probability of the true class; otherwise by the highest probability of any class.
        retain_weight: Of the samples that the initial student keeps: those in which it has the largest weight.
        mapped_mass: As in `ComparingRule`.
        calibrate: Likewise. With labels and a temperature of 1 the weights are then the posterior of a mixture of
            calibrated sources.
        expertise: Likewise: the odds of the expertise are the prior of that mixture.
    """

    def __init__(
        self,
        temperature: Positive,
        use_labels: bool,
        retain_weight: NotNegative = 1.0,
        mapped_mass: bool = False,
        calibrate: bool = False,
        expertise: bool = False,
    ) -> None:
        super().__init__(use_labels, retain_weight, mapped_mass, calibrate, expertise)
        self.temperature = temperature

    def measure(self, logits_MBC: Tensor, classes_MB: Tensor) -> Tensor:
        """Return the log-probability."""
        return log_confidence(logits_MBC, classes_MB)

    def __call__(self, logits_MBC: Tensor, batch: Batch, student_BC: Tensor | None) -> Routing:
        """Return the most trusted source and the mixed log-probabilities."""
        trust_MB = self.trust(logits_MBC, batch)
        return Routing(trust_MB.argmax(0), mixed_target(logits_MBC, soft_weights(trust_MB, self.temperature)))


class Pooled(RoutingRule):
    """All sources teach together: the target is the softmax of a weighted sum of logits, fitted on held-out images.

    The weights say at once how good the sources are, how over-confident, and how much each adds to the others. The
    choice needs no labels. The source counted as the teacher of a sample is the one closest to the target.
    """

    needs_holdout = True
    needs_full_logits = True
    has_features = False  # no source has more of the target than the others

    def __init__(self) -> None:
        self.weights_M: Tensor | None = None

    def prepare(self, logits_MNC: Tensor, labels_N: Tensor) -> Mapping[str, Tensor]:
        """Fit the weights."""
        self.weights_M = pool_weights(logits_MNC, check_held_out(labels_N))
        return {"weight in the pool": self.weights_M}

    def __call__(self, logits_MBC: Tensor, batch: Batch, student_BC: Tensor | None) -> Routing:
        """Return the source with the lowest divergence from the pool, and the pool."""
        self.weights_M = check_held_out(self.weights_M).to(logits_MBC.device, non_blocking=True)
        target_BC = pooled_target(logits_MBC, self.weights_M)
        crossed_MB = -(target_BC.exp() * logits_MBC.log_softmax(2)).sum(2)
        return Routing(crossed_MB.argmin(0), target_BC)
