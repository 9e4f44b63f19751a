"""Interpolation of weights, the restraint of momentum-based continual learning (MCL)."""

from collections.abc import Sequence

import torch
from torch import Tensor


@torch.no_grad()
def interpolate_(slow: Sequence[Tensor], fast: Sequence[Tensor], tau: float) -> None:
    """Move slow weights towards fast ones in place: ``slow <- tau slow + (1 - tau) fast``.

    Roth et al., "Fantastic Gains and Where to Find Them" (ICLR 2024, arXiv 2310.17653), equation 4.

    Args:
        slow: Floating-point tensors to update, ideally float32: half precision loses a step of ``1 - tau``.
        fast: Tensors of the same number, shapes and dtypes, left unchanged.
        tau: From 0 (slow becomes exactly fast) to 1 (slow is unchanged, exactly).

    Raises:
        ValueError: If the two lists differ in length.
    """
    if len(slow) != len(fast):
        raise ValueError(f"{len(slow)} slow tensors cannot follow {len(fast)} fast ones.")
    if slow:
        torch._foreach_lerp_(list(slow), list(fast), 1.0 - tau)
