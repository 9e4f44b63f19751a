"""KDCL: networks that train together towards a target combined from all of them (Guo et al., CVPR 2020)."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ktlight.functional.losses import kl_divergence
from ktlight.functional.targets import (
    general_target,
    general_weights,
    linear_target,
    minlogit_target,
    naive_target,
    residual_correlation,
)
from ktlight.limits import NotNegative, Positive
from ktlight.methods.base import TransferMethod, check_peers
from ktlight.methods.optimization import Optimization
from ktlight.models.classifier import Classifier
from ktlight.models.modes import evaluating
from ktlight.types import Batch

TARGET_RULES = {"naive": naive_target, "linear": linear_target, "minlogit": minlogit_target}


class KDCL(TransferMethod[Batch]):
    """``L_i = CE(z_i, y) + weight * T^2 * KL(softmax(z_target / T) || softmax(z_i / T))``, summed over the networks.

    The target is built from the live logits of all networks and is a constant for the gradient. Where public sources
    differ, this uses: a per-sample choice in `naive`, one convex combination per batch in `linear`, probabilities in
    `general`, T = 2 and weight 1.

    Args:
        networks: The student, then the teachers.
        optimization: Optimiser and learning rate of every network.
        name: Name of the method in results.
        rule: How the target is made: ``naive``, ``linear``, ``minlogit`` or ``general``, which weights the networks
            every epoch by how their errors correlate on held-out training images (``data.holdout``).
        weight: Lambda, the weight of the collaborative term.
        temperature: T.
        update_teacher: Whether the teachers learn too.
        own_views: Whether each network sees an augmented view of its own.
        standardize_logits: Standardise the logits on both sides of the collaborative term; the target is made before.
    """

    general_weights_N: Tensor
    has_peers = True

    def __init__(
        self,
        networks: Sequence[Classifier],
        optimization: Optimization,
        *,
        name: str,
        rule: Literal["naive", "linear", "minlogit", "general"],
        weight: NotNegative,
        temperature: Positive,
        update_teacher: bool,
        own_views: bool,
        standardize_logits: bool = False,
    ) -> None:
        check_peers(name, networks)
        peers = networks if update_teacher else [networks[0], *(network.frozen_copy() for network in networks[1:])]
        super().__init__(peers, optimization)
        self.name = name
        self.rule = rule
        self.needs_holdout = rule == "general"
        self.weight = weight
        self.own_views = own_views
        self.standardize_logits = standardize_logits
        self.temperature = temperature
        self.learners = len(networks) if update_teacher else 1
        self.register_buffer("general_weights_N", torch.full((len(networks),), 1 / len(networks)), persistent=False)

    def terms(self, logits_NBC: Sequence[Tensor], batch: Batch) -> dict[str, Tensor]:
        """Return a label term and a collaborative term for each network that learns."""
        target_BC = self.target(torch.stack([logits.detach().float() for logits in logits_NBC]), batch["label"])
        terms = {}
        for number, logits_BC in enumerate(logits_NBC[: self.learners]):
            terms[f"label_{number}"] = cross_entropy(logits_BC.float(), batch["label"])
            soft = kl_divergence(*self.compared(logits_BC, target_BC), self.temperature)
            terms[f"soft_{number}"] = self.weight * soft
        return terms

    def target(self, logits_NBC: Tensor, labels_B: Tensor) -> Tensor:
        """Return the target logits ``[B, C]`` by the method's rule."""
        if self.rule == "general":
            return general_target(logits_NBC, self.general_weights_N)
        if self.rule == "linear" and self.trainer.world_size > 1:
            # One combination for the whole batch, however many processes share it.
            logits_WBNC, labels_WB = self.all_gather((logits_NBC.transpose(0, 1), labels_B))
            target_BC = linear_target(logits_WBNC.flatten(0, 1).transpose(0, 1), labels_WB.flatten())
            return target_BC.chunk(self.trainer.world_size)[self.trainer.global_rank]
        return TARGET_RULES[self.rule](logits_NBC, labels_B)

    @torch.no_grad()
    def on_train_epoch_start(self) -> None:
        """Compute the networks' weights on the held-out samples (rule ``general``)."""
        if self.rule != "general":
            return
        correlation = torch.zeros(len(self.networks), len(self.networks), device=self.device)
        for batches in self.context.holdout():
            labels_B = batches[0]["label"].to(self.device)
            images = [batch["image"].to(self.device) for batch in batches]
            with self.trainer.precision_plugin.forward_context(), evaluating(self.networks):
                answers = [network(image).float() for network, image in zip(self.networks, images, strict=True)]
            logits_NBC = torch.stack(answers)
            correlation += residual_correlation(logits_NBC, labels_B) * len(labels_B)
        total = self.trainer.strategy.reduce(correlation, reduce_op="sum")
        self.general_weights_N = general_weights(total / self.context.holdout_size)
