"""Relational distillation: compares how two networks relate the samples of a batch to each other."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ktlight.functional.losses import kl_divergence_per_sample
from ktlight.functional.precision import full_precision
from ktlight.functional.routing import select_target

HIDDEN = -1e30  # masks a pair: its probability is 0, and being finite it cancels out of the divergence


def relation_divergence_per_sample(
    student_BD: Tensor, features_MBD: Sequence[Tensor], source_B: Tensor, temperature: float = 1.0
) -> Tensor:
    """Return the divergence between how each sample's source and the student relate it to other samples, in nats.

    ``T^2 KL(softmax_j(cos(t_i, t_j) / T) || softmax_j(cos(s_i, s_j) / T))`` over the other samples j of the batch, with
    the student's features s and the features t of the source that teaches sample i: the contrastive distillation (CD)
    that Roth et al. compare (ICLR 2024, arXiv 2310.17653). Features are compared only within a network, so dimensions
    and axes need not match between networks. A sample is not compared with itself, since that similarity is 1 in every
    network and would only dilute the others, nor with samples that are left out.

    Args:
        student_BD: Features of the network that learns, ``[B, D]``.
        features_MBD: Features of each candidate source, ``[B, D_m]``.
        source_B: Which candidate teaches each sample, ``int64 [B]``; negative if the sample is left out: ignore its
            value; the other values do not depend on it.
        temperature: ``T > 0``.

    Returns:
        The divergences ``[B]``, in float32 or wider; 0 where there is nothing to compare with.
    """
    target_BB = select_target(torch.stack([cosine_similarities(features) for features in features_MBD]), source_B)
    hidden_BB = torch.eye(len(source_B), dtype=torch.bool, device=source_B.device) | (source_B < 0)
    student_BB = cosine_similarities(student_BD).masked_fill(hidden_BB, HIDDEN)
    return kl_divergence_per_sample(student_BB, target_BB.masked_fill(hidden_BB, HIDDEN), temperature)


def cosine_similarities(features_BD: Tensor) -> Tensor:
    """Return the cosine similarity of every pair of rows, ``[B, B]``, in float32 or wider, also under autocast."""
    with torch.autocast(features_BD.device.type, enabled=False):
        unit_BD = normalize(full_precision(features_BD), dim=1)
        return unit_BD @ unit_BD.T
