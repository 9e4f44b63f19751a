"""The four target rules of KDCL, which combine several networks into one target, and the teacher choice of Bi-KD.

Guo et al., "Online Knowledge Distillation via Collaborative Learning" (CVPR 2020). Logits of the N networks are stacked
as ``[N, B, C]``; every target rule returns a constant ``[B, C]`` (no gradient flows through it) whose softmax is the
target distribution. Sums over networks are written element-wise, not as matrix products, which would run in half
precision under autocast and in TF32 where that is enabled.
"""

import torch
from torch import Tensor

from ktlight.functional.confidence import log_odds
from ktlight.functional.pooling import convex_pool_weights, relative_to_label, weighted_sum
from ktlight.functional.precision import full_precision
from ktlight.functional.routing import LEFT_OUT, most_confident, select_target


@torch.no_grad()
def naive_target(logits_NBC: Tensor, labels_B: Tensor) -> Tensor:
    """Return, per sample, the logits of the network with the smallest cross entropy (ties: the first network).

    With the frozen initial student as first network this is the supervised data partitioning of Roth et al.

    Args:
        logits_NBC: Logits of the networks, ``[N, B, C]``.
        labels_B: True classes, ``int64 [B]``.

    Returns:
        The target logits ``[B, C]``, in the dtype of ``logits_NBC``.
    """
    return select_target(logits_NBC, most_confident(logits_NBC, labels_B))


@torch.no_grad()
def linear_target(logits_NBC: Tensor, labels_B: Tensor) -> Tensor:
    """Return the convex combination of the networks' logits with the smallest mean cross entropy over the batch.

    Args:
        logits_NBC: Logits of the networks, ``[N, B, C]``.
        labels_B: True classes, ``int64 [B]``.

    Returns:
        The target logits ``[B, C]``, in float32 or wider.
    """
    return weighted_sum(convex_pool_weights(logits_NBC, labels_B), full_precision(logits_NBC))


@torch.no_grad()
def minlogit_target(logits_NBC: Tensor, labels_B: Tensor) -> Tensor:
    """Return the element-wise minimum over networks of the logits relative to the label's, ``z_c - z_y``.

    Args:
        logits_NBC: Logits of the networks, ``[N, B, C]``.
        labels_B: True classes, ``int64 [B]``.

    Returns:
        The target logits ``[B, C]``, in float32 or wider; 0 at the label.
    """
    return relative_to_label(logits_NBC, labels_B).amin(0)


@torch.no_grad()
def residual_correlation(logits_NBC: Tensor, labels_B: Tensor) -> Tensor:
    """Return ``C_ij``, the mean over samples of the inner product of the residuals of networks i and j.

    A residual is a network's softmax minus the one-hot label. To combine the batches of a held-out split, average their
    matrices weighted by batch size.

    Args:
        logits_NBC: Logits of the networks, ``[N, B, C]``.
        labels_B: True classes, ``int64 [B]``.

    Returns:
        The symmetric matrix ``[N, N]``, in float32 or wider.
    """
    probability_NBC = full_precision(logits_NBC).softmax(-1)
    label_NB1 = _label_index(logits_NBC, labels_B)
    residual_NBC = probability_NBC.scatter_add(-1, label_NB1, -torch.ones_like(probability_NBC[..., :1]))
    return (residual_NBC[:, None] * residual_NBC).sum(-1).mean(-1)


@torch.no_grad()
def general_weights(correlation_NN: Tensor) -> Tensor:
    """Return ``C^-1 1 / (1' C^-1 1)``, the weights of the ensemble with the smallest squared residual.

    A ridge near the rounding error keeps them defined for a singular ``C``: identical networks then share their weight,
    and a network without error gets all of it.

    Args:
        correlation_NN: The residual correlation of the networks, ``[N, N]``.

    Returns:
        The weights ``[N]``; they sum to 1 and may be negative.
    """
    trace = correlation_NN.trace().clamp_min(torch.finfo(correlation_NN.dtype).tiny)
    ridge = 4 * torch.finfo(correlation_NN.dtype).eps * _identity_like(correlation_NN)
    ones_N = torch.ones_like(correlation_NN[0])
    weights_N: Tensor = torch.linalg.solve_ex(correlation_NN / trace + ridge, ones_N).result
    return weights_N / weights_N.sum()


@torch.no_grad()
def general_target(logits_NBC: Tensor, weights_N: Tensor) -> Tensor:
    """Return the weighted mean of the networks' *probabilities*, clipped at 0 and rescaled to sum to 1.

    Public sources disagree on whether to average logits or probabilities; the weights minimise the squared residual of
    probabilities, so probabilities are averaged here.

    Args:
        logits_NBC: Logits of the networks, ``[N, B, C]``.
        weights_N: What :func:`general_weights` returns, ``[N]``.

    Returns:
        Log-probabilities ``[B, C]``, finite, in float32 or wider; their softmax is the target.
    """
    probability_BC = weighted_sum(weights_N, full_precision(logits_NBC).softmax(-1))
    clipped_BC = probability_BC.clamp_min(torch.finfo(probability_BC.dtype).tiny)
    return clipped_BC.log().log_softmax(-1)


@torch.no_grad()
def bidirectional_teacher(logits_NBC: Tensor, labels_B: Tensor) -> Tensor:
    """Return, per sample, the network with the largest probability of the label.

    Of two networks a and b, a teaches where ``p_a[y] > p_b[y]``, else b: Jain, Karthik, Gandhi, "Simplifying Knowledge
    Transfer in Pretrained Models" (TMLR 2025, arXiv 2510.22208). Of three or more, none teaches a sample whose largest
    probability several of them give, as in its public code.

    Args:
        logits_NBC: Logits of the networks, ``[N, B, C]``.
        labels_B: True classes, ``int64 [B]``.

    Returns:
        The network that teaches each sample, ``int64 [B]``; -1 leaves the sample out.
    """
    odds_NB = log_odds(logits_NBC, labels_B)
    last_B = len(logits_NBC) - 1 - odds_NB.flip(0).argmax(0)
    if len(logits_NBC) == 2:
        return last_B
    shared_B = (odds_NB == odds_NB.amax(0)).sum(0) > 1
    return last_B.masked_fill(shared_B, LEFT_OUT)


def _identity_like(matrix_NN: Tensor) -> Tensor:
    return torch.eye(len(matrix_NN), dtype=matrix_NN.dtype, device=matrix_NN.device)


def _label_index(logits_NBC: Tensor, labels_B: Tensor) -> Tensor:
    return labels_B[None, :, None].expand(len(logits_NBC), -1, 1)
