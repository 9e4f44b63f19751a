"""Bi-KD: per sample, the network most confident in the label teaches the others (Jain et al., TMLR 2025)."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ktlight.functional.losses import kl_divergence_per_sample, masked_mean
from ktlight.functional.routing import LEFT_OUT, select_target
from ktlight.functional.targets import bidirectional_teacher
from ktlight.limits import NotNegative
from ktlight.methods.base import TransferMethod, check_peers
from ktlight.methods.optimization import Optimization
from ktlight.models.classifier import Classifier
from ktlight.types import Batch


class BidirectionalDistillation(TransferMethod[Batch]):
    """``L = sum_i CE(z_i, y) + weight * mean_b sum_{i != t_b} KL(p_{t_b} || p_i)``, arXiv 2510.22208, T = 1.

    t_b is the network with the largest probability of the label of sample b. Of two networks a, b it is a where
    ``p_a[y] > p_b[y]``, else b, as the paper says. Of three or more, samples whose largest probability several networks
    give have no distillation term, as in the public code.

    Args:
        networks: The student, then the teachers; all of them learn.
        optimization: Optimiser and learning rate.
        name: Name of the method in results.
        weight: Of the distillation term.
        detach: Whether the teaching side is a constant for the gradient; the public code does not detach it.
        own_views: Whether each network sees its own augmented view.
        standardize_logits: Standardise the logits on both sides of the distillation term; the teaching side is
            chosen before.
    """

    has_peers = True

    def __init__(
        self,
        networks: Sequence[Classifier],
        optimization: Optimization,
        *,
        name: str,
        weight: NotNegative,
        detach: bool,
        own_views: bool,
        standardize_logits: bool = False,
    ) -> None:
        check_peers(name, networks)
        super().__init__(networks, optimization)
        self.name = name
        self.weight = weight
        self.detach = detach
        self.own_views = own_views
        self.standardize_logits = standardize_logits

    def terms(self, logits_NBC: Sequence[Tensor], batch: Batch) -> dict[str, Tensor]:
        """Return a label term and a distillation term for each network."""
        stacked_NBC = torch.stack([logits_BC.float() for logits_BC in logits_NBC])
        teacher_B = bidirectional_teacher(stacked_NBC.detach(), batch["label"])
        target_BC = select_target(stacked_NBC.detach() if self.detach else stacked_NBC, teacher_B)
        terms = {}
        for number, logits_BC in enumerate(stacked_NBC):
            learner_B = teacher_B.masked_fill(teacher_B == number, LEFT_OUT)
            soft_B = kl_divergence_per_sample(*self.compared(logits_BC, target_BC))
            terms[f"label_{number}"] = cross_entropy(logits_BC, batch["label"])
            terms[f"soft_{number}"] = self.weight * masked_mean(soft_B, learner_B)
        return terms
