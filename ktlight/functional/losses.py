"""Losses that pull a student's logits towards target logits.

Every loss also accepts half-precision logits, and computes in float32. Nothing is detached here: the caller decides
which side is constant (bidirectional methods differ on it). Target logits must be finite.
"""

from torch import Tensor

from ktlight.functional.precision import full_precision

HIDDEN = -1e30  # masks a logit on both sides: its probability is 0, and being finite it cancels out of a divergence


def kl_divergence_per_sample(student_logits_BC: Tensor, target_logits_BC: Tensor, temperature: float = 1.0) -> Tensor:
    """Return ``T^2 KL(softmax(target / T) || softmax(student / T))`` of each sample, in nats.

    Args:
        student_logits_BC: Logits of the network that learns, ``[B, C]``.
        target_logits_BC: Logits that it learns from, ``[B, C]``.
        temperature: ``T > 0``; the factor ``T^2`` preserves the gradient scale (Hinton, Vinyals and Dean, 2015).

    Returns:
        The divergences ``[B]``, in float32 or wider.
    """
    student_log_BC, target_log_BC = _log_probabilities(student_logits_BC, target_logits_BC, temperature)
    # Written with log targets so that value and gradients stay finite where a target probability underflows to 0.
    return temperature**2 * (target_log_BC.exp() * (target_log_BC - student_log_BC)).sum(-1)


def kl_divergence(student_logits_BC: Tensor, target_logits_BC: Tensor, temperature: float = 1.0) -> Tensor:
    """Return the batch mean of :func:`kl_divergence_per_sample`, a scalar.

    The transfer loss of Roth et al., "Fantastic Gains and Where to Find Them" (ICLR 2024, arXiv 2310.17653).

    >>> import torch
    >>> kl_divergence(torch.zeros(1, 2), torch.tensor([[0.0, 100.0]]))  # log 2
    tensor(0.6931)
    """
    return kl_divergence_per_sample(student_logits_BC, target_logits_BC, temperature).mean()


def soft_cross_entropy_per_sample(
    student_logits_BC: Tensor, target_logits_BC: Tensor, temperature: float = 1.0
) -> Tensor:
    """Return ``-T^2 sum_c softmax(target / T)_c log softmax(student / T)_c`` of each sample, in nats.

    The soft-target loss of Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network" (2015). It exceeds
    :func:`kl_divergence_per_sample` by the entropy of the target, so both have the same gradient in the student.

    Args:
        student_logits_BC: Logits of the network that learns, ``[B, C]``.
        target_logits_BC: Logits that it learns from, ``[B, C]``.
        temperature: ``T > 0``.

    Returns:
        The cross entropies ``[B]``, in float32 or wider.
    """
    student_log_BC, target_log_BC = _log_probabilities(student_logits_BC, target_logits_BC, temperature)
    return -(temperature**2) * (target_log_BC.exp() * student_log_BC).sum(-1)


def largest_classes(student_logits_BC: Tensor, target_logits_BC: Tensor, count: int | None) -> tuple[Tensor, Tensor]:
    """Return both sides' logits for the target's largest classes only; a loss then renormalises both over these.

    Args:
        student_logits_BC: Logits of the network that learns, ``[B, C]``.
        target_logits_BC: Logits that it learns from, ``[B, C]``.
        count: K, the number of classes kept per sample; None, or C or more, keeps all.

    Returns:
        Student and target logits ``[B, min(K, C)]``.
    """
    if count is None or count >= target_logits_BC.shape[1]:
        return student_logits_BC, target_logits_BC
    target_BK, classes_BK = target_logits_BC.topk(count, dim=1)
    return student_logits_BC.gather(1, classes_BK), target_BK


def masked_mean(values_B: Tensor, source_B: Tensor, weight_B: Tensor | None = None) -> Tensor:
    """Return the weighted sum over the samples that a source teaches, divided by the whole batch; a scalar.

    Dividing by the whole batch makes the weight of a sample independent of how many others are left out, and of how
    the batch is split over processes or micro-batches.

    Args:
        values_B: The loss of each sample, ``[B]``.
        source_B: The source that teaches each sample, ``int64 [B]``; negative if the sample is left out of the loss.
        weight_B: The weight of each sample, ``[B]``; None weighs all alike, by 1.

    Returns:
        The masked mean; 0, with zero gradient, if all samples are left out.
    """
    # `where`, not a product: an overflow on a sample that is left out must not turn the mean into NaN.
    kept_B = values_B.where(source_B >= 0, 0.0)
    return (kept_B if weight_B is None else weight_B * kept_B).mean()


def _log_probabilities(
    student_logits_BC: Tensor, target_logits_BC: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    student_log_BC = (full_precision(student_logits_BC) / temperature).log_softmax(-1)
    target_log_BC = (full_precision(target_logits_BC) / temperature).log_softmax(-1)
    return student_log_BC, target_log_BC
