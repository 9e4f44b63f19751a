"""DKD: the label's probability and the shares of the other classes, each with a weight (Zhao et al., CVPR 2022)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ktlight.functional.decoupled import decoupled_divergence_per_sample
from ktlight.limits import Count, NotNegative, Positive
from ktlight.methods.logits import LogitMethod
from ktlight.methods.optimization import Optimization
from ktlight.models.classifier import Classifier
from ktlight.types import RoutedBatch


class DKD(LogitMethod):
    """``T^2 (alpha KL(b_t || b_s) + beta KL(p^_t || p^_s)) + label_weight * CE``, arXiv 2203.08679.

    In epoch e, counted from 1, the soft term has the weight ``min(1, e / warmup_epochs)``, as in the public code.

    Args:
        networks: The student alone.
        optimization: Optimiser and learning rate.
        name: Name of the method in results.
        alpha: Weight of the label's probability against all others together.
        beta: Weight of the other classes among each other; without effect if there are two classes.
        temperature: T.
        label_weight: Of the cross entropy with the labels.
        warmup_epochs: Epochs until the soft term has its whole weight; 1: from the start.
        standardize_logits: Standardise the logits on both sides of the soft term.
    """

    warmth: Tensor

    def __init__(
        self,
        networks: Sequence[Classifier],
        optimization: Optimization,
        *,
        name: str,
        alpha: NotNegative,
        beta: NotNegative,
        temperature: Positive,
        label_weight: NotNegative,
        warmup_epochs: Count,
        standardize_logits: bool = False,
    ) -> None:
        super().__init__(
            networks, optimization, name=name, label_weight=label_weight, standardize_logits=standardize_logits
        )
        self.alpha = alpha
        self.beta = beta
        self.temperature = temperature
        self.warmup_epochs = warmup_epochs
        # A tensor, since a compiled step would take a number for a constant.
        self.register_buffer("warmth", torch.tensor(1.0), persistent=False)

    def on_train_epoch_start(self) -> None:
        """Set the weight of the soft term in this epoch."""
        self.warmth.fill_(min(1.0, (self.current_epoch + 1) / self.warmup_epochs))

    def soft_losses(self, student_BC: Tensor, target_BC: Tensor, batch: RoutedBatch) -> Tensor:
        """Return the two divergences of each sample, weighted and added, ``[B]``."""
        return self.warmth * decoupled_divergence_per_sample(
            student_BC, target_BC, batch["label"], self.alpha, self.beta, self.temperature
        )
