"""Soft data partitioning: all sources teach together."""

from torch import Tensor

from ktlight.functional.mixing import mixed_target, soft_weights
from ktlight.functional.routing import most_confident
from ktlight.limits import Positive
from ktlight.routing.rules import Routing, RoutingRule
from ktlight.types import Batch


class Soft(RoutingRule):
    """All sources teach together: the target is the mean of their probabilities, weighted by confidence.

    The source counted as the teacher of a sample is the one with the largest weight.

    Args:
        temperature: Of the weights ``softmax_m(log p_m / temperature)``: near 0 only the most confident source counts;
            towards infinity all count equally.
        use_labels: Weight by the probability of the true class; otherwise by the highest probability of any class.
    """

    def __init__(self, temperature: Positive, use_labels: bool) -> None:
        self.temperature = temperature
        self.use_labels = use_labels

    def __call__(self, logits_MBC: Tensor, batch: Batch, student_BC: Tensor | None) -> Routing:
        """Return the most confident source and the mixed log-probabilities."""
        labels_B = batch["label"] if self.use_labels else None
        target_BC = mixed_target(logits_MBC, soft_weights(logits_MBC, self.temperature, labels_B))
        return Routing(most_confident(logits_MBC, labels_B), target_BC)
