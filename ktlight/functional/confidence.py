"""Per-sample confidence measures of a source, compared by routing rules.

All are computed from logits minus their maximum, never from a probability that could round to 0 or 1: shifting a row's
logits does not change a bit of its result, so equal distributions tie and different ones do not.
"""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from ktlight.functional.precision import full_precision


def log_odds(logits_MBC: Tensor, labels_B: Tensor | None = None) -> Tensor:
    """Return each source's confidence in a class of each sample, as ``log(p / (1 - p))``.

    Log-odds rank classes as probabilities do, but saturate at neither end: in float32, ``p`` and ``log p`` of a
    well-trained network round to 1 and 0 on most samples, so sources that differ would appear to tie.

    Args:
        logits_MBC: Logits of the sources, ``[M, B, C]``.
        labels_B: The class asked about, ``int64 [B]``; by default the class that each source itself predicts.

    Returns:
        The log-odds ``[M, B]``, in float32 or wider.
    """
    class_MB, others_MBC = _class_and_others(logits_MBC, labels_B)
    return class_MB - others_MBC.logsumexp(-1)


def margin(logits_MBC: Tensor, labels_B: Tensor | None = None) -> Tensor:
    """Return each source's margin of a class over the strongest other class, as ``log(p / max of the other p)``.

    Where :func:`log_odds` compares a class with all others together, the margin compares it with one. The margin of a
    label is therefore positive exactly where the source predicts it, however low its probability among many classes.

    Args:
        logits_MBC: Logits of the sources, ``[M, B, C]``.
        labels_B: The class asked about, ``int64 [B]``; by default the class that each source itself predicts.

    Returns:
        The margins ``[M, B]``, in float32 or wider; differences of logits, since the normaliser cancels.
    """
    class_MB, others_MBC = _class_and_others(logits_MBC, labels_B)
    return class_MB - others_MBC.amax(-1)


def log_confidence(logits_MBC: Tensor, labels_B: Tensor | None = None) -> Tensor:
    """Return each source's log-probability of a class of each sample, accurate even where the probability rounds to 1.

    Args:
        logits_MBC: Logits of the sources, ``[M, B, C]``.
        labels_B: The class asked about, ``int64 [B]``; by default the class that each source itself predicts.

    Returns:
        The log-probabilities ``[M, B]``, in float32 or wider.
    """
    return logsigmoid(log_odds(logits_MBC, labels_B))


def entropy(logits_MBC: Tensor) -> Tensor:
    """Return the entropy of each source's prediction ``-sum_c p_c log p_c``, in nats, without labels.

    Args:
        logits_MBC: Logits of the sources, ``[M, B, C]``.

    Returns:
        The entropies ``[M, B]``, in float32 or wider.
    """
    # With d_c = z_c - max z and p the highest probability, log p_c = d_c + log p: where p is near 1 both terms are
    # small, so nothing cancels.
    highest_MB = log_confidence(logits_MBC)
    shifted_MBC = _shifted(logits_MBC)
    probability_MBC = (shifted_MBC + highest_MB[..., None]).exp()
    return -(probability_MBC * shifted_MBC).sum(-1) - highest_MB


def _shifted(logits_MBC: Tensor) -> Tensor:
    logits_MBC = full_precision(logits_MBC)
    return logits_MBC - logits_MBC.amax(-1, keepdim=True)


def _class_and_others(logits_MBC: Tensor, labels_B: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the logits of the given class ``[M, B]``, and all logits with that class set to minus infinity."""
    shifted_MBC = _shifted(logits_MBC)
    if labels_B is None:
        classes_MB1 = shifted_MBC.argmax(-1, keepdim=True)
    else:
        classes_MB1 = labels_B[None, :, None].expand(logits_MBC.shape[0], -1, 1)
    return shifted_MBC.gather(-1, classes_MB1).squeeze(-1), shifted_MBC.scatter(-1, classes_MB1, -torch.inf)
