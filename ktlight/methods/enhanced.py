"""OFA: a target with the label enhanced, for networks of different families (Hao et al., NeurIPS 2023)."""

from collections.abc import Sequence
from typing import Annotated

from torch import Tensor

from ktlight.functional.powers import enhanced_cross_entropy_per_sample
from ktlight.limits import NotNegative, Number, Positive
from ktlight.methods.logits import LogitMethod
from ktlight.methods.optimization import Optimization
from ktlight.models.classifier import Classifier
from ktlight.types import RoutedBatch


class OFA(LogitMethod):
    """``-weight * sum_c [(p_t + e_y)^g - e_y] log p_s + label_weight * CE``, arXiv 2310.19444.

    The paper adds the same loss at exits from inner layers, which differ from family to family and are left out here.

    Args:
        networks: The student alone.
        optimization: Optimiser and learning rate.
        name: Name of the method in results.
        exponent: g; the larger, the more the label counts in the target.
        weight: Of the soft term.
        temperature: T of both sides; there is no factor T^2.
        label_weight: Of the cross entropy with the labels.
        standardize_logits: Standardise the logits on both sides of the soft term.
    """

    def __init__(
        self,
        networks: Sequence[Classifier],
        optimization: Optimization,
        *,
        name: str,
        exponent: Annotated[float, Number(least=1)],
        weight: NotNegative,
        temperature: Positive,
        label_weight: NotNegative,
        standardize_logits: bool = False,
    ) -> None:
        super().__init__(
            networks, optimization, name=name, weight=weight, label_weight=label_weight,
            standardize_logits=standardize_logits,
        )  # fmt: skip
        self.exponent = exponent
        self.temperature = temperature

    def soft_losses(self, student_BC: Tensor, target_BC: Tensor, batch: RoutedBatch) -> Tensor:
        """Return the cross entropy of each sample with its enhanced target, ``[B]``."""
        return enhanced_cross_entropy_per_sample(student_BC, target_BC, batch["label"], self.exponent, self.temperature)
