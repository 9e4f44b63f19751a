"""Number formats: nothing is compared, summed or logged in half precision."""

import torch
from torch import Tensor


def full_precision(values: Tensor) -> Tensor:
    """Return ``values`` in at least float32; float32 and float64 pass through unchanged."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
