"""Losses whose target is a power of the teacher's probabilities: smoother than the teacher, or surer of the label."""

from torch import Tensor
from torch.nn.functional import one_hot

from ktlight.functional.precision import full_precision


def transformed_divergence_per_sample(student_logits_BC: Tensor, target_logits_BC: Tensor, exponent: float) -> Tensor:
    """Return ``U KL(p_t^g / U || p_s)`` of each sample, in nats, with ``U = sum_c p_t[c]^g``.

    Weighted transformed teacher matching (WTTM) of Zheng and Yang, "Knowledge Distillation Based on Transformed Teacher
    Matching" (ICLR 2024, arXiv 2402.11148). The target is the teacher at the temperature 1 / g, the student
    has none; U, from 1 for a certain teacher to C^(1 - g), weighs smooth targets more. With ``g = 1`` it is the KL
    divergence.

    Args:
        student_logits_BC: Logits of the network that learns, ``[B, C]``.
        target_logits_BC: Logits that it learns from, ``[B, C]``.
        exponent: g, above 0 and at most 1.

    Returns:
        The weighted divergences ``[B]``, in float32 or wider.
    """
    power_log_BC = exponent * full_precision(target_logits_BC).log_softmax(-1)
    log_sum_B1 = power_log_BC.logsumexp(-1, keepdim=True)
    student_log_BC = full_precision(student_logits_BC).log_softmax(-1)
    return (power_log_BC.exp() * (power_log_BC - log_sum_B1 - student_log_BC)).sum(-1)


def enhanced_cross_entropy_per_sample(
    student_logits_BC: Tensor,
    target_logits_BC: Tensor,
    labels_B: Tensor,
    exponent: float,
    temperature: float = 1.0,
) -> Tensor:
    """Return ``-sum_c ((p_t[c] + e_y[c])^g - e_y[c]) log p_s[c]`` of each sample, in nats, with p = softmax(z / T).

    The loss of OFA-KD with adaptive target enhancement: Hao et al., "One-for-All: Bridge the Gap Between Heterogeneous
    Architectures in Knowledge Distillation" (NeurIPS 2023, arXiv 2310.19444), whose gamma the public code calls eps.
    Above 1, the label weighs more in the target and the other classes less, the more so the less sure the
    teacher is of them; with ``g = 1`` it is the cross entropy with soft targets. There is no factor T^2.

    Args:
        student_logits_BC: Logits of the network that learns, ``[B, C]``.
        target_logits_BC: Logits that it learns from, ``[B, C]``.
        labels_B: True classes, ``int64 [B]``.
        exponent: g, at least 1.
        temperature: ``T > 0``.

    Returns:
        The cross entropies ``[B]``, in float32 or wider.
    """
    label_BC = one_hot(labels_B, student_logits_BC.shape[-1])
    target_BC = ((full_precision(target_logits_BC) / temperature).softmax(-1) + label_BC) ** exponent - label_BC
    return -(target_BC * (full_precision(student_logits_BC) / temperature).log_softmax(-1)).sum(-1)
