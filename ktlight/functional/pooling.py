"""The log-linear pool of several models: the softmax of a weighted sum of their logits.

Genest and Zidek, "Combining Probability Distributions: A Critique and an Annotated Bibliography" (Statistical Science
1986). With one model it is temperature scaling.
"""

import torch
from torch import Tensor

from ktlight.functional.precision import full_precision

_NEWTON_STEPS = 24
_FIRST_BARRIER = 0.1
_BARRIER_DECAY = 0.6
_STEP_SIZES = 8


@torch.no_grad()
def convex_pool_weights(logits_MNC: Tensor, labels_N: Tensor) -> Tensor:
    """Solve ``min_w mean_n CE(sum_m w_m z_mn, y_n)`` with ``w >= 0`` and ``sum w = 1``, a convex problem.

    Takes interior-point Newton steps under a shrinking logarithmic barrier, a fixed number of them to avoid
    synchronising with the device. Models that the objective does not distinguish share their weight equally.

    Args:
        logits_MNC: Logits of the models, ``[M, N, C]``.
        labels_N: True classes, ``int64 [N]``.

    Returns:
        The weights ``[M]``, all positive (near 0 for a model that is best left out), in float32 or wider.
    """
    gaps_MNC = relative_to_label(logits_MNC, labels_N)
    weights_M = _minimise(gaps_MNC, torch.zeros_like(gaps_MNC[:, 0, 0]), fixed_sum=True)
    return weights_M / weights_M.sum()


@torch.no_grad()
def pool_weights(logits_MNC: Tensor, labels_N: Tensor) -> Tensor:
    """Solve the same with ``w >= 0`` alone, on samples unseen in training, so that the pool is calibrated too.

    The labels are smoothed by one sample's worth of weight, as in :mod:`ktlight.functional.calibration`, whose
    temperature is the inverse of the weight of a single model. Models that are alike share their weight equally.

    Args:
        logits_MNC: Logits of the models, ``[M, N, C]``, N at least 1.
        labels_N: True classes, ``int64 [N]``.

    Returns:
        The weights, all positive, ``float64 [M]``.
    """
    gaps_MNC = relative_to_label(logits_MNC.double(), labels_N)
    # In units of each model's mean gap, so that the starting point suits any scale of the logits.
    scale_M = gaps_MNC.abs().mean((1, 2)).clamp_min(1e-12)
    gaps_MNC = gaps_MNC / scale_M[:, None, None]
    return _minimise(gaps_MNC, gaps_MNC.mean((1, 2)) / (len(labels_N) + 1), fixed_sum=False) / scale_M


def pooled_target(logits_MBC: Tensor, weights_M: Tensor) -> Tensor:
    """Return the log-probabilities of the pool, which serve as logits.

    Args:
        logits_MBC: Logits of the sources, ``[M, B, C]``.
        weights_M: What `pool_weights` returns.

    Returns:
        ``log_softmax(sum_m w_m z_m)``, ``[B, C]``, in float32 or wider.
    """
    logits_MBC = full_precision(logits_MBC)
    return weighted_sum(weights_M.to(logits_MBC.dtype), logits_MBC).log_softmax(-1)


def weighted_sum(weights_M: Tensor, values_MBC: Tensor) -> Tensor:
    """Return ``sum_m w_m v_m``, element-wise: a matrix product would run in half precision under autocast, or in TF32.

    Args:
        weights_M: One weight a model, ``[M]``.
        values_MBC: Values of the models, ``[M, B, C]``.
    """
    return (weights_M[:, None, None] * values_MBC).sum(0)


def relative_to_label(logits_MBC: Tensor, labels_B: Tensor) -> Tensor:
    """Return ``z_c - z_y``, 0 at the label, in float32 or wider.

    Args:
        logits_MBC: Logits of the models, ``[M, B, C]``.
        labels_B: True classes, ``int64 [B]``.
    """
    logits_MBC = full_precision(logits_MBC)
    return logits_MBC - logits_MBC.gather(-1, labels_B[None, :, None].expand(len(logits_MBC), -1, 1))


def _minimise(gaps_MNC: Tensor, linear_M: Tensor, fixed_sum: bool) -> Tensor:
    """Minimise ``mean_n logsumexp_c(sum_m w_m gap_mnc) - w'linear`` over positive weights."""
    weights_M = gaps_MNC.new_full((len(gaps_MNC),), 1 / len(gaps_MNC))
    for step in range(_NEWTON_STEPS):
        weights_M = _newton_step(weights_M, gaps_MNC, linear_M, _FIRST_BARRIER * _BARRIER_DECAY**step, fixed_sum)
    return weights_M


def _newton_step(weights_M: Tensor, gaps_MNC: Tensor, linear_M: Tensor, barrier: float, fixed_sum: bool) -> Tensor:
    """Lower the objective minus ``barrier sum_m log w_m`` along its Newton direction."""
    logits_NC = weighted_sum(weights_M, gaps_MNC)
    probability_NC = logits_NC.softmax(-1)
    mean_MN = (probability_NC * gaps_MNC).sum(-1)
    centred_MNC = gaps_MNC - mean_MN[..., None]
    hessian_MM = (probability_NC * centred_MNC[:, None] * centred_MNC).sum(-1).mean(-1)

    # In relative steps x = dw / w the system stays well conditioned as a weight vanishes.
    identity_MM = torch.eye(len(hessian_MM), dtype=hessian_MM.dtype, device=hessian_MM.device)
    system_MM = weights_M[:, None] * hessian_MM * weights_M + barrier * identity_MM
    descent_M = barrier - weights_M * (mean_MN.mean(-1) - linear_M)
    solution_M2: Tensor = torch.linalg.solve_ex(system_MM, torch.stack((descent_M, weights_M), -1)).result
    relative_M, constraint_M = solution_M2.unbind(-1)
    if fixed_sum:  # w'x = 0 preserves the sum
        relative_M = relative_M - (weights_M * relative_M).sum() / (weights_M * constraint_M).sum() * constraint_M

    # A full Newton step overshoots where the objective is nearly piecewise linear: take the best of several lengths.
    longest = (0.95 / (-relative_M).amax().clamp_min(1e-6)).clamp_max(1.0)
    lengths_K = longest * 0.5 ** torch.arange(_STEP_SIZES, device=weights_M.device)
    candidates_KM = weights_M * (1 + lengths_K[:, None] * relative_M)
    logits_KNC = logits_NC + lengths_K[:, None, None] * weighted_sum(weights_M * relative_M, gaps_MNC)
    merit_K = logits_KNC.logsumexp(-1).mean(-1) - (candidates_KM * linear_M + barrier * candidates_KM.log()).sum(-1)
    return candidates_KM.index_select(0, merit_K.argmin(0, keepdim=True)).squeeze(0)
