"""Counter-based, stateless random numbers: a function of where they are used, not of when.

The bits come from the SplitMix64 finaliser (Steele, Lea, Flood, "Fast splittable pseudorandom number generators",
OOPSLA 2014), applied once per coordinate. Unlike with NumPy's generators, one call serves a whole batch of rows, each
with its own stream, and the bits are the same in every version of NumPy.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch

IntArray = npt.NDArray[np.int64]

ORDER_STREAM = 1
VIEW_STREAM = 2
SAMPLE_STREAM = 3
ROUTING_STREAM = 4
SCHEDULE_STREAM = 5
NEGATIVE_STREAM = 6


Function = TypeVar("Function", bound=Callable[..., Any])


def uncompiled(function: Function) -> Function:
    """Exclude a function from compilation: the compiler cannot trace NumPy's unsigned integers."""
    return torch.compiler.disable(function)  # type: ignore[no-any-return, no-untyped-call]


def random_bits(*coordinates: int | IntArray) -> npt.NDArray[np.uint64]:
    """Return 64 random bits for each point of the broadcast coordinates.

    Args:
        coordinates: Integers or integer arrays that broadcast against each other, for example
            ``(VIEW_STREAM, seed, view, rows[:, None], np.arange(3))`` for three numbers per row.

    Returns:
        ``uint64`` with the broadcast shape, at least one-dimensional.
    """
    state = np.zeros(1, np.uint64)
    for coordinate in coordinates:
        state = _mix(state + np.uint64(0x9E3779B97F4A7C15) + np.asarray(coordinate, np.int64).astype(np.uint64))
    return state


def random_uniform(*coordinates: int | IntArray) -> npt.NDArray[np.float64]:
    """Return one number in [0, 1) for each point of the broadcast coordinates; see :func:`random_bits`."""
    return (random_bits(*coordinates) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def random_order(rows: IntArray, *coordinates: int) -> IntArray:
    """Return ``rows`` shuffled; the order is a function of the coordinates and of the rows themselves."""
    return rows[np.argsort(random_bits(ORDER_STREAM, *coordinates, rows), kind="stable")]


def _mix(state: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
