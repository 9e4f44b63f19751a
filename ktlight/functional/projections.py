"""Linear maps from the student's features to another network's, and how far apart the features are then."""

import torch
from torch import Tensor
from torch.nn.functional import layer_norm, smooth_l1_loss

from ktlight.functional.precision import full_precision


def orthonormal_columns(free_ED: Tensor) -> Tensor:
    """Return a matrix ``P`` with orthonormal columns, ``P^T P = 1``, from any matrix of its shape.

    ``P`` is the first D columns of the Cayley transform ``(1 + A / 2)^-1 (1 - A / 2)`` of the skew-symmetric
    ``A = [X, 0] - [X, 0]^T``. The inverse always exists, so that P is a smooth function of X, with P = [1; 0] at X = 0.
    A has rank 2 D at most, so only a matrix of that size is solved for: O(E D^2) operations (Wen and Yin, "A feasible
    method for optimization with orthogonality constraints", Mathematical Programming 2013, lemma 4).

    Args:
        free_ED: X, finite, ``[E, D]`` with ``D <= E``: more than E vectors of E numbers are never orthonormal.

    Returns:
        P, ``[E, D]``, in float32 or wider, also under autocast.
    """
    with torch.autocast(free_ED.device.type, enabled=False):
        free_ED = full_precision(free_ED)
        columns = free_ED.shape[1]
        axes_ED = torch.eye(*free_ED.shape, dtype=free_ED.dtype, device=free_ED.device)
        # A = U V^T, and by Woodbury's identity P = axes - U (1 + V^T U / 2)^-1 V^T axes
        left_EW, right_EW = torch.cat([free_ED, axes_ED], 1), torch.cat([axes_ED, -free_ED], 1)
        core_WW = torch.eye(2 * columns, dtype=free_ED.dtype, device=free_ED.device) + right_EW.T @ left_EW / 2
        # without a check, for which the device would have to wait: the matrix is never singular
        solved_WD = torch.linalg.solve_ex(core_WW, right_EW[:columns].T).result
        projection_ED: Tensor = axes_ED - left_EW @ solved_WD
    return projection_ED


def squared_error_per_sample(projected_BE: Tensor, target_BE: Tensor) -> Tensor:
    """Return the mean squared difference of each sample's features, ``[B]``, in float32 or wider.

    The hint of Romero et al., "FitNets: Hints for Thin Deep Nets" (ICLR 2015), averaged over the features.

    Args:
        projected_BE: The student's features, mapped to the target's, ``[B, E]``.
        target_BE: The features to come close to, ``[B, E]``.
    """
    return (full_precision(projected_BE) - full_precision(target_BE)).square().mean(1)


def normalized_error_per_sample(projected_BE: Tensor, target_BE: Tensor) -> Tensor:
    """Return the smooth L1 distance of each sample's features from standardised targets, ``[B]``, averaged over E.

    Each target has mean 0 and variance 1 over its features, so that its scale, which only the target's own classifier
    knows, says nothing (Miles, Elezi and Deng, VkD, CVPR 2024, arXiv 2403.06213).

    Args:
        projected_BE: The student's features, mapped to the target's, ``[B, E]``.
        target_BE: The features to come close to, ``[B, E]``.

    Returns:
        The distances ``[B]``, in float32 or wider.
    """
    target_BE = full_precision(target_BE)
    standard_BE = layer_norm(target_BE, target_BE.shape[1:])
    return smooth_l1_loss(full_precision(projected_BE), standard_BE, reduction="none").mean(1)
