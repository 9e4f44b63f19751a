"""Decoupled knowledge distillation: the label's probability and the other classes' shares as terms of their own."""

from torch import Tensor
from torch.nn.functional import logsigmoid

from ktlight.functional.confidence import log_odds
from ktlight.functional.losses import HIDDEN, kl_divergence_per_sample
from ktlight.functional.precision import full_precision


def decoupled_divergence_per_sample(
    student_logits_BC: Tensor,
    target_logits_BC: Tensor,
    labels_B: Tensor,
    alpha: float | Tensor,
    beta: float | Tensor,
    temperature: float = 1.0,
) -> Tensor:
    """Return ``T^2 (alpha KL(b_t || b_s) + beta KL(p^_t || p^_s))`` of each sample, in nats.

    With p = softmax(z / T), ``b = [p_y, 1 - p_y]`` holds the probabilities of the label and of all other classes
    together, and ``p^`` is the distribution over the other classes alone: Zhao et al., "Decoupled Knowledge
    Distillation" (CVPR 2022, arXiv 2203.08679). With ``alpha = 1`` and ``beta = 1 - p_t[y]`` it is the KL
    divergence. With two classes the second term is 0.

    Args:
        student_logits_BC: Logits of the network that learns, ``[B, C]``.
        target_logits_BC: Logits that it learns from, ``[B, C]``.
        labels_B: True classes, ``int64 [B]``.
        alpha: Weight of the first term, a number or ``[B]``.
        beta: Weight of the second term, a number or ``[B]``.
        temperature: ``T > 0``.

    Returns:
        The divergences ``[B]``, in float32 or wider.
    """
    student_BC = full_precision(student_logits_BC) / temperature
    target_BC = full_precision(target_logits_BC) / temperature
    # From log-odds: log(1 - p) would be computed from a p that rounds to 1.
    student_B, target_B = (log_odds(logits_BC[None], labels_B)[0] for logits_BC in (student_BC, target_BC))
    binary_B = target_B.sigmoid() * (logsigmoid(target_B) - logsigmoid(student_B))
    binary_B = binary_B + (-target_B).sigmoid() * (logsigmoid(-target_B) - logsigmoid(-student_B))
    others_B = kl_divergence_per_sample(
        student_BC.scatter(-1, labels_B[:, None], HIDDEN), target_BC.scatter(-1, labels_B[:, None], HIDDEN)
    )
    return temperature**2 * (alpha * binary_B + beta * others_B)


def decoupled_divergence(
    student_logits_BC: Tensor,
    target_logits_BC: Tensor,
    labels_B: Tensor,
    alpha: float | Tensor,
    beta: float | Tensor,
    temperature: float = 1.0,
) -> Tensor:
    """Return the batch mean of :func:`decoupled_divergence_per_sample`, a scalar.

    >>> import torch
    >>> two_classes = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0]])
    >>> decoupled_divergence(*two_classes, torch.tensor([0]), alpha=1.0, beta=8.0)  # what KL divergence is
    tensor(0.4338)
    """
    return decoupled_divergence_per_sample(
        student_logits_BC, target_logits_BC, labels_B, alpha, beta, temperature
    ).mean()
