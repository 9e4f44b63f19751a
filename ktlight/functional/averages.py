"""Weighted averages of networks: model soups, and interpolation between two sets of weights."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

State = Mapping[str, Tensor]


@torch.no_grad()
def average_states(states: Sequence[State], weights: Sequence[float]) -> dict[str, Tensor]:
    """Return the weighted mean of state dicts, tensor by tensor.

    Equal weights give the uniform soup (Wortsman et al., "Model soups", ICML 2022); weights ``1 - a`` and ``a`` for two
    states give the point at ``a`` on the line between them (Wortsman et al., "Robust fine-tuning of zero-shot models",
    CVPR 2022).

    Args:
        states: State dicts of one architecture.
        weights: One per state, summing to 1.

    Returns:
        The mean in the dtype of the first state, summed in float64; integers (counters) come from the last state.

    Raises:
        ValueError: If the architectures differ; the message names the first tensor that does not match.
    """
    first, *others = states
    for other in others:
        _check_alike(first, other)
    return {
        name: sum(
            (weight * state[name].double() for state, weight in zip(states, weights, strict=True)),
            torch.zeros_like(tensor, dtype=torch.float64),
        ).to(tensor.dtype)
        if tensor.is_floating_point()
        else states[-1][name].clone()
        for name, tensor in first.items()
    }


def _check_alike(first: State, other: State) -> None:
    if differing := sorted(first.keys() ^ other.keys()):
        raise ValueError(f"networks of different architectures have no average: only one of them has {differing[0]}")
    for name, tensor in first.items():
        if tensor.shape != other[name].shape:
            raise ValueError(
                f"networks of different architectures have no average: {name} is {tuple(tensor.shape)} in one and "
                f"{tuple(other[name].shape)} in another"
            )
