"""Correlation-based distillation: the student ranks and spaces classes and samples like its teacher, up to scale."""

from torch import Tensor
from torch.nn.functional import normalize

from ktlight.functional.precision import full_precision

LEAST_NORM = 1e-4  # below it, what varies is next to nothing, and its correlation mostly rounding


def correlation_distance(
    student_logits_BC: Tensor, target_logits_BC: Tensor, beta: float, gamma: float, temperature: float = 1.0
) -> Tensor:
    """Return ``T^2 (beta (1 - mean_b rho(rows)) + gamma (1 - mean_c rho(columns)))``, a scalar.

    rho is Pearson's correlation of the two networks' probabilities softmax(z / T), of a sample over the classes (rows)
    and of a class over the samples (columns): Huang et al., "Knowledge Distillation from A Stronger Teacher" (DIST,
    NeurIPS 2022, arXiv 2205.10536), with the factor T^2 of its public code.

    Args:
        student_logits_BC: Logits of the network that learns, ``[B, C]``.
        target_logits_BC: Logits that it learns from, ``[B, C]``.
        beta: Weight of the rows, which the paper calls inter-class relation.
        gamma: Weight of the columns, the intra-class relation; with one sample they say nothing, and rho is 0.
        temperature: ``T > 0``.
    """
    rows_B = row_distances(student_logits_BC, target_logits_BC, temperature)
    columns_C = column_distances(student_logits_BC, target_logits_BC, None, temperature)
    return beta * rows_B.mean() + gamma * columns_C.mean()


def row_distances(student_logits_BC: Tensor, target_logits_BC: Tensor, temperature: float = 1.0) -> Tensor:
    """Return ``T^2 (1 - rho)`` of each sample's probabilities, ``[B]``, in float32 or wider."""
    student_BC, target_BC = _probabilities(student_logits_BC, target_logits_BC, temperature)
    return temperature**2 * (1 - correlations(student_BC, target_BC, dim=1))


def column_distances(
    student_logits_BC: Tensor, target_logits_BC: Tensor, kept_B: Tensor | None, temperature: float = 1.0
) -> Tensor:
    """Return ``T^2 (1 - rho)`` of each class's probabilities over the samples kept, ``[C]``, in float32 or wider.

    Args:
        student_logits_BC: Logits of the network that learns, ``[B, C]``.
        target_logits_BC: Logits that it learns from, ``[B, C]``.
        kept_B: Mask of the samples that count, ``bool [B]``; None for all.
        temperature: ``T > 0``.
    """
    student_BC, target_BC = _probabilities(student_logits_BC, target_logits_BC, temperature)
    return temperature**2 * (1 - correlations(student_BC, target_BC, dim=0, kept=kept_B))


def correlations(first_BC: Tensor, second_BC: Tensor, dim: int, kept: Tensor | None = None) -> Tensor:
    """Return Pearson's correlations of two tables along one dimension.

    The norms that they are divided by are at least 1e-4, so that value and gradient stay finite where a side is
    constant; there the correlation is 0. Nothing changes if a side is multiplied by a positive number or shifted.

    Args:
        first_BC: ``[B, C]``.
        second_BC: ``[B, C]``.
        dim: 1 correlates rows, 0 columns.
        kept: Mask of the entries along ``dim`` that count; None for all.

    Returns:
        The correlations ``[B]`` or ``[C]``.
    """
    units = [normalize(_centred(values, dim, kept), dim=dim, eps=LEAST_NORM) for values in (first_BC, second_BC)]
    return (units[0] * units[1]).sum(dim)


def _centred(values_BC: Tensor, dim: int, kept: Tensor | None) -> Tensor:
    """Return values minus their mean along ``dim``, both over the entries kept; 0 for the others."""
    if kept is None:
        return values_BC - values_BC.mean(dim, keepdim=True)
    mask = kept[:, None] if dim == 0 else kept
    mean = values_BC.where(mask, 0.0).sum(dim, keepdim=True) / kept.sum().clamp_min(1)
    return (values_BC - mean).where(mask, 0.0)


def _probabilities(student_logits_BC: Tensor, target_logits_BC: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    student_BC, target_BC = full_precision(student_logits_BC), full_precision(target_logits_BC)
    return (student_BC / temperature).softmax(-1), (target_BC / temperature).softmax(-1)
