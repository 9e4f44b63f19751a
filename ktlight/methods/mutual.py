"""DML: networks that train together, each towards all the others (Zhang et al., CVPR 2018)."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ktlight.functional.losses import kl_divergence
from ktlight.limits import NotNegative, Positive
from ktlight.methods.base import TransferMethod, check_peers
from ktlight.methods.optimization import Optimization
from ktlight.models.classifier import Classifier
from ktlight.types import Batch


class MutualLearning(TransferMethod[Batch]):
    """``L_i = CE(z_i, y) + weight * mean_{j != i} T^2 KL(softmax(z_j / T) || softmax(z_i / T))``, summed over networks.

    The teaching networks are constants for the gradient, as in the paper, which uses T = 1 and weight 1.

    Args:
        networks: The student, then the teachers; all of them learn.
        optimization: Optimiser and learning rate.
        name: Name of the method in results.
        weight: Of the mutual term.
        temperature: T.
        own_views: Whether each network sees its own augmented view.
        standardize_logits: Standardise the logits on both sides of the mutual term.
    """

    has_peers = True

    def __init__(
        self,
        networks: Sequence[Classifier],
        optimization: Optimization,
        *,
        name: str,
        weight: NotNegative,
        temperature: Positive,
        own_views: bool,
        standardize_logits: bool = False,
    ) -> None:
        check_peers(name, networks)
        super().__init__(networks, optimization)
        self.name = name
        self.weight = weight
        self.temperature = temperature
        self.own_views = own_views
        self.standardize_logits = standardize_logits

    def terms(self, logits_NBC: Sequence[Tensor], batch: Batch) -> dict[str, Tensor]:
        """Return a label term and a mutual term for each network."""
        terms = {}
        for number, learner_BC in enumerate(logits_NBC):
            others = [logits_BC.detach() for other, logits_BC in enumerate(logits_NBC) if other != number]
            pulls = [kl_divergence(*self.compared(learner_BC, other_BC), self.temperature) for other_BC in others]
            terms[f"label_{number}"] = cross_entropy(learner_BC.float(), batch["label"])
            terms[f"soft_{number}"] = self.weight * torch.stack(pulls).mean()
        return terms
