"""Relational distillation: compares how two networks relate the samples of a batch to each other."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize, smooth_l1_loss
from torch.utils.checkpoint import checkpoint

from ktlight.functional.losses import HIDDEN, kl_divergence_per_sample
from ktlight.functional.precision import full_precision
from ktlight.functional.routing import select_target

ANGLE_NUMBERS = 2**23
"""Numbers of each kind that are kept at a time for angles: 34 MB in float32."""
ALL = slice(None)


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
    hidden_BB = _same(source_B) | (source_B < 0)
    student_BB = cosine_similarities(student_BD).masked_fill(hidden_BB, HIDDEN)
    return kl_divergence_per_sample(student_BB, target_BB.masked_fill(hidden_BB, HIDDEN), temperature)


def cosine_similarities(features_BD: Tensor) -> Tensor:
    """Return the cosine similarity of every pair of rows, ``[B, B]``, in float32 or wider, also under autocast."""
    with torch.autocast(features_BD.device.type, enabled=False):
        unit_BD = normalize(full_precision(features_BD), dim=1)
        return unit_BD @ unit_BD.T


def distance_relation_per_sample(
    student_BD: Tensor, features_MBD: Sequence[Tensor], source_B: Tensor, rows: slice = ALL
) -> Tensor:
    """Return how differently each sample's source and the student see its distances to the other samples.

    The mean over the other samples j of ``smooth_l1(d(s_i, s_j) / mean d(s), d(t_i, t_j) / mean d(t))``, with Euclidean
    distances d, divided by their mean over all pairs of the batch: the distances of relational distillation (Park et
    al., "Relational Knowledge Distillation", CVPR 2019, equations 6 to 8), whose student may move, turn and scale its
    features freely.

    Args:
        student_BD: Features of the network that learns, ``[B, D]``.
        features_MBD: Features of each candidate source, ``[B, D_m]``.
        source_B: Which candidate teaches each sample, ``int64 [B]``; negative if it is left out: no pair has it.
        rows: The samples i to return, R of them, all by default; the others still take part as j.

    Returns:
        The values ``[R]``, in float32 or wider; 0 for samples left out and where there is nothing to compare with.
    """
    taught_B = source_B >= 0
    pairs_BB = taught_B[:, None] & taught_B & ~_same(source_B)
    own_RB = _relative_distances(student_BD, pairs_BB)[rows]
    target_MRB = torch.stack([_relative_distances(features_BD, pairs_BB)[rows] for features_BD in features_MBD])
    difference_RB = smooth_l1_loss(own_RB, select_target(target_MRB, source_B[rows]), reduction="none")
    return difference_RB.where(pairs_BB[rows], 0.0).sum(1) / (taught_B.sum() - 1).clamp_min(1)


def angle_relation_per_sample(
    student_BD: Tensor, features_MBD: Sequence[Tensor], source_B: Tensor, rows: slice = ALL
) -> Tensor:
    """Return how differently each sample's source and the student see the angles that other samples make at it.

    The mean over pairs of other samples j and k of ``smooth_l1(cos(s_j - s_i, s_k - s_i), cos(t_j - t_i, t_k - t_i))``
    (Park et al., CVPR 2019, equations 9 to 11).

    The angles of B samples are B^3 numbers for each network, from B^3 D multiplications. A few samples i are looked at
    at a time, `ANGLE_NUMBERS` numbers at most (or one sample's), and once more for the gradient.

    Args:
        student_BD: Features of the network that learns, ``[B, D]``.
        features_MBD: Features of each candidate source, ``[B, D_m]``.
        source_B: Which candidate teaches each sample, ``int64 [B]``; negative if the sample is left out: it makes no
            angles.
        rows: The samples i to return, R of them, all by default; the others still take part as j and k.

    Returns:
        The values ``[R]``, in float32 or wider; 0 for samples left out and where there are no two others.
    """
    others = (source_B >= 0).sum() - 1
    numbers = sum(len(source_B) * max(each.shape) for each in (student_BD, *features_MBD))
    places_R = torch.arange(len(source_B), device=source_B.device)[rows]
    parts = [
        checkpoint(_angle_differences, places_P, source_B, student_BD, *features_MBD, use_reentrant=False,
                   preserve_rng_state=False)
        for places_P in torch.split(places_R, max(1, ANGLE_NUMBERS // numbers))
    ]  # fmt: skip
    return torch.cat(parts) / (others * (others - 1)).clamp_min(1)


def _angle_differences(places_P: Tensor, source_B: Tensor, student_BD: Tensor, *features_MBD: Tensor) -> Tensor:
    """Return the sum of the differences of all angles at some samples, ``[P]``."""
    other_PB = (source_B >= 0) & ~_same(source_B)[places_P]
    angles_PBB = other_PB[:, :, None] & other_PB[:, None] & ~_same(source_B)
    target_MPBB = torch.stack([_cosines_at(features_BD, places_P) for features_BD in features_MBD])
    target_PBB = select_target(target_MPBB, source_B[places_P])
    difference_PBB = smooth_l1_loss(_cosines_at(student_BD, places_P), target_PBB, reduction="none")
    taught_P = source_B[places_P] >= 0
    return difference_PBB.where(angles_PBB, 0.0).sum((1, 2)).where(taught_P, 0.0)


def _cosines_at(features_BD: Tensor, places_P: Tensor) -> Tensor:
    """Return the cosines of the angles at some samples between all others, ``[P, B, B]``."""
    with torch.autocast(features_BD.device.type, enabled=False):
        features_BD = full_precision(features_BD)
        difference_PBD = features_BD - features_BD[places_P, None]
        length_PB1 = difference_PBD.norm(dim=2, keepdim=True)
        # samples in the same place have no direction, and must not have an endless gradient
        unit_PBD = difference_PBD / length_PB1.where(length_PB1 > 0, 1.0)
        cosine_PBB: Tensor = unit_PBD @ unit_PBD.mT
    return cosine_PBB


def _relative_distances(features_BD: Tensor, pairs_BB: Tensor) -> Tensor:
    """Return the Euclidean distances between samples, divided by their mean over pairs, ``[B, B]``."""
    with torch.autocast(features_BD.device.type, enabled=False):
        features_BD = full_precision(features_BD)
        # not by way of inner products, whose rounding would be that of the lengths
        distances_BB = torch.cdist(features_BD, features_BD, compute_mode="donot_use_mm_for_euclid_dist")
    mean = distances_BB.where(pairs_BB, 0.0).sum() / pairs_BB.sum().clamp_min(1)
    return distances_BB / mean.where(mean > 0, 1.0)


def _same(source_B: Tensor) -> Tensor:
    """Return which pairs of samples are one and the same, ``[B, B]``."""
    return torch.eye(len(source_B), dtype=torch.bool, device=source_B.device)
