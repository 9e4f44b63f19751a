"""Soft routing: a target mixed from all sources rather than taken from one."""

import torch
from torch import Tensor

from ktlight.functional.precision import full_precision


def soft_weights(confidence_MB: Tensor, temperature: float) -> Tensor:
    """Return the log-weight of each source for each sample: the log of ``softmax_m(confidence_m / temperature)``.

    If the confidence is the log-probability of the label and the temperature is 1, the weights are the posterior
    probabilities, under a uniform prior, that source m drew the label: ``p_m[y] / sum_k p_k[y]``. The logarithm of a
    prior can be added to the confidence. As the temperature goes to 0 the most confident source takes all the weight;
    as it goes to infinity all sources weigh the same.

    Args:
        confidence_MB: How far each source is trusted, in nats, ``[M, B]``.
        temperature: Above 0.

    Returns:
        The log-weights ``[M, B]``, in float32 or wider; their exponentials sum to 1 over the sources.
    """
    confidence_MB = full_precision(confidence_MB)
    # Subtract the maximum first: at a tiny temperature the best stays at 0 and only the others go to -inf.
    return ((confidence_MB - confidence_MB.amax(0)) / temperature).log_softmax(0)


def weights_by_loss(losses_MB: Tensor) -> Tensor:
    """Return the log-weight of each source for each sample: the log of ``(1 - softmax_m(loss_m)) / (M - 1)``.

    The weights of confidence-aware distillation from several teachers (Zhang, Chen and Wang, ICASSP 2022). They leave
    out a source that is far worse than the others, but choose none: no source weighs more than ``1 / (M - 1)``.

    Args:
        losses_MB: How bad each source is, ``[M, B]``, such as its cross entropy with the label or its entropy.

    Returns:
        The log-weights ``[M, B]``, in float32 or wider; their exponentials sum to 1 over the sources. A single source
        has weight 1.
    """
    losses_MB = full_precision(losses_MB)
    sources = len(losses_MB)
    if sources == 1:
        return torch.zeros_like(losses_MB)
    # 1 - softmax is the share of the others: summed as such, a source that is far better or worse does not round away
    own_MM1 = torch.eye(sources, dtype=torch.bool, device=losses_MB.device)[..., None]
    others_MB = losses_MB.expand(sources, -1, -1).masked_fill(own_MM1, -torch.inf).logsumexp(1)
    return others_MB.log_softmax(0)


def mixed_target(logits_MBC: Tensor, log_weights_MB: Tensor) -> Tensor:
    """Return the weighted mean of the sources' probabilities as log-probabilities ``[B, C]``, which serve as logits.

    Args:
        logits_MBC: Logits of the sources, finite, ``[M, B, C]``.
        log_weights_MB: Log-weights whose exponentials sum to 1, ``[M, B]``; -inf leaves a source out.

    Returns:
        The log-probabilities, finite, in float32 or wider.
    """
    return (full_precision(logits_MBC).log_softmax(-1) + log_weights_MB[..., None]).logsumexp(0)
