"""WTTM: weighted transformed teacher matching (Zheng and Yang, ICLR 2024)."""

from collections.abc import Sequence
from typing import Annotated

from torch import Tensor

from ktlight.functional.powers import transformed_divergence_per_sample
from ktlight.limits import SHARE, NotNegative
from ktlight.methods.logits import LogitMethod
from ktlight.methods.optimization import Optimization
from ktlight.models.classifier import Classifier
from ktlight.types import RoutedBatch


class WTTM(LogitMethod):
    """``weight * U KL(p_t^g / U || p_s) + label_weight * CE`` with ``U = sum_c p_t[c]^g``, arXiv 2402.11148.

    Args:
        networks: The student alone.
        optimization: Optimiser and learning rate.
        name: Name of the method in results.
        exponent: g, one over the teacher's temperature.
        weight: Of the soft term.
        label_weight: Of the cross entropy with the labels.
        standardize_logits: Standardise the logits on both sides of the soft term.
    """

    def __init__(
        self,
        networks: Sequence[Classifier],
        optimization: Optimization,
        *,
        name: str,
        exponent: Annotated[float, SHARE._replace(excluded=(0,))],
        weight: NotNegative,
        label_weight: NotNegative,
        standardize_logits: bool = False,
    ) -> None:
        super().__init__(
            networks, optimization, name=name, weight=weight, label_weight=label_weight,
            standardize_logits=standardize_logits,
        )  # fmt: skip
        self.exponent = exponent

    def soft_losses(self, student_BC: Tensor, target_BC: Tensor, batch: RoutedBatch) -> Tensor:
        """Return the weighted divergence of each sample, ``[B]``."""
        return transformed_divergence_per_sample(student_BC, target_BC, self.exponent)
