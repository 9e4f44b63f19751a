"""Answers in other classes: a network's own Z classes become the data's C.

Everything happens in the log domain and in float32 (or wider), and before any temperature: the mapped log-probabilities
serve as logits.
"""

import torch
from torch import Tensor

from ktlight.errors import UserError
from ktlight.functional.precision import full_precision

NONE = -1  # the class of the data that one of the network's own classes without a counterpart maps to
UNSAID = -1e4  # finite stand-in for the logarithm of a probability of 0, whatever the temperature


def map_logits(logits_BZ: Tensor, classes_Z: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Return a network's answers in the data's classes, each the sum of its own classes that map to it.

    ``log q_y = logsumexp_{z -> y} z_z - logsumexp_{mapped z} z_z``: renormalised over what is mapped. The map is
    checked, for which it waits for the device; `map_columns`, for a map that is known to be good, does not.

    Args:
        logits_BZ: Logits in the network's own classes, ``[B, Z]``.
        classes_Z: The data's class of each of them, ``int64 [Z]``; -1 for none. Several may have the same one.
        num_classes: C.

    Returns:
        The log-probabilities ``[B, C]``, -inf for classes that no class maps to, and the mapped mass ``[B]``: how much
        of the network's belief is about the data's classes at all, from 0 to 1. Both in float32 or wider.

    >>> import torch
    >>> log_q_BC, mass_B = map_logits(torch.zeros(1, 4), torch.tensor([1, 0, 1, -1]), 2)
    >>> log_q_BC.exp(), mass_B
    (tensor([[0.3333, 0.6667]]), tensor([0.7500]))

    Raises:
        UserError: If none maps to a class, or one to a class that there is not.
    """
    if not 0 <= int(classes_Z.max()) < num_classes:
        raise UserError(f"a map to {num_classes} classes has to name at least one of them, and none beyond")
    return map_columns(logits_BZ, columns_of(classes_Z, num_classes))


def columns_of(classes_Z: Tensor, num_classes: int) -> Tensor:
    """Return the columns that map to each class, ``int64 [C, K]``, filled up with Z; K is the most that one class has.

    Args:
        classes_Z: The data's class of each column, ``int64 [Z]``; -1 for none.
        num_classes: C.
    """
    own_classes = len(classes_Z)
    order_Z = classes_Z.argsort(stable=True)
    sorted_Z = classes_Z[order_Z]
    counts_C = torch.bincount(classes_Z[classes_Z >= 0], minlength=num_classes)
    first_C = torch.searchsorted(sorted_Z, torch.arange(num_classes, device=classes_Z.device))
    offsets_K = torch.arange(max(1, int(counts_C.max())), device=classes_Z.device)
    places_CK = (first_C[:, None] + offsets_K).clamp_max(own_classes - 1)
    return order_Z[places_CK].where(offsets_K < counts_C[:, None], own_classes)


def map_columns(logits_BZ: Tensor, columns_CK: Tensor) -> tuple[Tensor, Tensor]:
    """Return what `map_logits` returns, without synchronising with the device.

    Args:
        logits_BZ: Logits in the network's own classes, ``[B, Z]``.
        columns_CK: What `columns_of` returns.
    """
    logits_BZ = full_precision(logits_BZ)
    with_none = torch.cat([logits_BZ, torch.full_like(logits_BZ[:, :1], -torch.inf)], 1)
    joint_BC = with_none[:, columns_CK].logsumexp(-1)  # gathered, not scattered: the same on every device and run
    mapped_B = joint_BC.logsumexp(-1)
    mass_B = (mapped_B - logits_BZ.logsumexp(-1)).exp().clamp_max(1)
    return joint_BC - mapped_B[:, None], mass_B


def map_weighted(logits_BZ: Tensor, weights_ZC: Tensor) -> tuple[Tensor, Tensor]:
    """Return answers in the data's classes where a class of the network may be part of several.

    ``q_y = sum_z theta_z W_zy / m`` with the network's probabilities theta and the mapped mass
    ``m = sum_zy theta_z W_zy``.

    Args:
        logits_BZ: Logits in the network's own classes, ``[B, Z]``.
        weights_ZC: W, not negative, ``[Z, C]``; its rows sum to at most 1.

    Returns:
        As `map_logits`.
    """
    with torch.autocast(logits_BZ.device.type, enabled=False):
        logits_BZ = full_precision(logits_BZ)
        # Relative to the largest mapped logit: where next to nothing is mapped, its distribution is still precise.
        largest_B1 = logits_BZ.masked_fill(weights_ZC.sum(1) == 0, -torch.inf).amax(1, keepdim=True)
        joint_BC = (logits_BZ - largest_B1).clamp_max(0).exp() @ weights_ZC.to(logits_BZ.dtype)
    mapped_B = joint_BC.sum(1)
    mass_B = (mapped_B.log() + largest_B1[:, 0] - logits_BZ.logsumexp(1)).exp().clamp_max(1)
    return (joint_BC / mapped_B[:, None]).log(), mass_B


def count_together(logits_BZ: Tensor, labels_B: Tensor, num_classes: int) -> Tensor:
    """Return how often each class of the network goes with each class of the data, ``float64 [Z, C]``.

    Each labelled image is shared among the network's classes by their probabilities. Counts of batches add up.

    Args:
        logits_BZ: Logits in the network's own classes, ``[B, Z]``.
        labels_B: The data's classes of the images, ``int64 [B]``.
        num_classes: C.
    """
    probability_BZ = logits_BZ.double().softmax(1)
    counts_CZ = probability_BZ.new_zeros(num_classes, logits_BZ.shape[1])
    return counts_CZ.index_add_(0, labels_B, probability_BZ).T


def learned_weights(counts_ZC: Tensor) -> Tensor:
    """Return ``P(y | z)``, the rows of counts as shares, with half a count added for every pair, ``[Z, C]``.

    With these weights `map_weighted` gives the predictor of LEEP (Nguyen et al., ICML 2020, arXiv 2002.12462).

    Args:
        counts_ZC: What `count_together` returns, summed over all images.
    """
    smoothed_ZC = counts_ZC + 0.5
    return smoothed_ZC / smoothed_ZC.sum(1, keepdim=True)


def complete_with(log_q_BC: Tensor, mass_B: Tensor, other_logits_BC: Tensor) -> Tensor:
    """Return ``log(m q + (1 - m) p)``: a mapped teacher speaks for its mapped mass, another model for the rest.

    For teachers that have no class for some of the data's: alone, they would never give those any probability.

    Args:
        log_q_BC: Mapped log-probabilities, ``[B, C]``.
        mass_B: Mapped mass m, ``[B]``.
        other_logits_BC: Logits of the model that speaks for the rest, such as the initial student, ``[B, C]``.

    Returns:
        The log-probabilities ``[B, C]``, finite where one of the two gives a class any probability.
    """
    other_BC = full_precision(other_logits_BC).log_softmax(-1)
    return torch.logaddexp(log_q_BC + mass_B.log()[:, None], other_BC + torch.log1p(-mass_B)[:, None])
