"""Per-sample confidence measures of a source, compared by routing rules.

All are computed from logits minus their maximum, never from a probability that could round to 0 or 1: shifting a row's
logits does not change a bit of its result, so equal distributions tie and different ones do not.
"""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from ktlight.functional.precision import full_precision

_BEYOND = 1e4  # finite log-odds that stand for those of a probability of 0 or 1


def log_odds(logits_MBC: Tensor, labels_B: Tensor | None = None) -> Tensor:
    """Return each source's confidence in a class of each sample, as ``log(p / (1 - p))``.

    Log-odds rank classes as probabilities do, but saturate at neither end: in float32, ``p`` and ``log p`` of a
    well-trained network round to 1 and 0 on most samples, so sources that differ would appear to tie.

    Args:
        logits_MBC: Logits of the sources, ``[M, B, C]``.
        labels_B: The class asked about, ``int64 [B]``, or ``[M, B]`` for one of each source; by default the class that
            each source itself predicts.

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


def with_none_of_these(logits_MBC: Tensor, mass_MB: Tensor) -> Tensor:
    """Return logits with one more class, "none of these", which has the probability that is not mapped, 1 - m.

    Of a source with classes of its own, whose logits in the data's are renormalised over what is mapped
    (:mod:`ktlight.functional.label_spaces`): all measures can thus be taken of its whole belief. The probability of a
    class of the data is multiplied by m.

    Args:
        logits_MBC: Logits of the sources, ``[M, B, C]``.
        mass_MB: Their mapped mass m, from 0 to 1, ``[M, B]``.

    Returns:
        The logits ``[M, B, C + 1]``, finite where those given are, in float32 or wider.
    """
    logits_MBC, mass_MB = full_precision(logits_MBC), full_precision(mass_MB)
    odds_MB = (torch.log1p(-mass_MB) - mass_MB.log()).clamp(-_BEYOND, _BEYOND)
    return torch.cat([logits_MBC, (logits_MBC.logsumexp(-1) + odds_MB)[..., None]], -1)


def _shifted(logits_MBC: Tensor) -> Tensor:
    logits_MBC = full_precision(logits_MBC)
    return logits_MBC - logits_MBC.amax(-1, keepdim=True)


def _class_and_others(logits_MBC: Tensor, labels_B: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the logits of the given class ``[M, B]``, and all logits with that class set to minus infinity."""
    shifted_MBC = _shifted(logits_MBC)
    classes_MB = shifted_MBC.argmax(-1) if labels_B is None else labels_B.expand(shifted_MBC.shape[:2])
    classes_MB1 = classes_MB[..., None]
    return shifted_MBC.gather(-1, classes_MB1).squeeze(-1), shifted_MBC.scatter(-1, classes_MB1, -torch.inf)
