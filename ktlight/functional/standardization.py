"""Standardisation of logits: a student that orders and spaces the classes like its teacher need not match its scale."""

from torch import Tensor

from ktlight.functional.precision import full_precision

LEAST_DEVIATION = 1e-7


def standardize_logits(logits_BC: Tensor) -> Tensor:
    """Return each sample's logits minus their mean over the classes, divided by their standard deviation.

    Algorithm 1 of Sun et al., "Logit Standardization in Knowledge Distillation" (CVPR 2024, arXiv 2403.01427), without
    its temperature. The deviation is that of the paper, which divides by C. Its public code divides by C - 1, as if the
    temperature were sqrt(C / (C - 1)) times as large, and adds the same 1e-7.

    Args:
        logits_BC: Logits of one network, ``[B, C]``.

    Returns:
        The standardised logits ``[B, C]``, in float32 or wider; 0 where all logits of a sample are equal.

    >>> import torch
    >>> standardize_logits(torch.tensor([[3.0, 3.0, 5.0, 5.0]]))
    tensor([[-1.0000, -1.0000,  1.0000,  1.0000]])
    """
    centred_BC = full_precision(logits_BC)
    centred_BC = centred_BC - centred_BC.mean(-1, keepdim=True)
    return centred_BC / (centred_BC.std(-1, correction=0, keepdim=True) + LEAST_DEVIATION)
