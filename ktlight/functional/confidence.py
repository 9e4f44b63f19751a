"""How sure a source is, per sample: what routing rules compare.

All measures are computed from logits less their maximum, and none from a probability that could round to 0 or 1: a row
gives the same bits however its logits are shifted, so equal distributions tie, and no others do.
"""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from ktlight.functional.precision import full_precision


def log_odds(logits_MBC: Tensor, labels_B: Tensor | None = None) -> Tensor:
    """Return each source's confidence in a class of each sample, as ``log(p / (1 - p))``.

    The log-odds order probabilities as the probabilities do, but neither end saturates: in float32, ``p`` and ``log p``
    of a well-trained network round to 1 and 0 on most samples, and sources that differ would seem to tie.

    Args:
        logits_MBC: Logits of the sources, ``[M, B, C]``.
        labels_B: The class asked about, ``int64 [B]``; by default the class that each source itself predicts.

    Returns:
        The log-odds ``[M, B]``, in float32 or wider.
    """
    class_MB, others_MBC = _class_and_others(logits_MBC, labels_B)
    return class_MB - others_MBC.logsumexp(-1)


def margin(logits_MBC: Tensor, labels_B: Tensor | None = None) -> Tensor:
    """Return by how much a class leads its strongest rival in each source, as ``log(p / max of the other p)``.

    Where :func:`log_odds` sets a class against all others together, the margin asks about one rival. So the margin of a
    label is positive exactly where the source predicts it, however little probability that takes among many classes.

    Args:
        logits_MBC: Logits of the sources, ``[M, B, C]``.
        labels_B: The class asked about, ``int64 [B]``; by default the class that each source itself predicts.

    Returns:
        The margins ``[M, B]``, in float32 or wider; logits less logits, since the normaliser cancels.
    """
    class_MB, others_MBC = _class_and_others(logits_MBC, labels_B)
    return class_MB - others_MBC.amax(-1)


def log_confidence(logits_MBC: Tensor, labels_B: Tensor | None = None) -> Tensor:
    """Return each source's log-probability of a class of each sample, precise also where the probability rounds to 1.

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
    # With d_c = z_c - max z and p the highest probability, log p_c = d_c + log p, and both terms are small where p is
    # near 1, instead of a small difference of large ones.
    highest_MB = log_confidence(logits_MBC)
    shifted_MBC = _shifted(logits_MBC)
    probability_MBC = (shifted_MBC + highest_MB[..., None]).exp()
    return -(probability_MBC * shifted_MBC).sum(-1) - highest_MB


def _shifted(logits_MBC: Tensor) -> Tensor:
    logits_MBC = full_precision(logits_MBC)
    return logits_MBC - logits_MBC.amax(-1, keepdim=True)


def _class_and_others(logits_MBC: Tensor, labels_B: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the logits of the class asked about ``[M, B]``, and all logits with that one at minus infinity."""
    shifted_MBC = _shifted(logits_MBC)
    if labels_B is None:
        classes_MB1 = shifted_MBC.argmax(-1, keepdim=True)
    else:
        classes_MB1 = labels_B[None, :, None].expand(logits_MBC.shape[0], -1, 1)
    return shifted_MBC.gather(-1, classes_MB1).squeeze(-1), shifted_MBC.scatter(-1, classes_MB1, -torch.inf)
