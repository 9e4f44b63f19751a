import pytest
import torch
from torch import nn

from ktlight.functional.averages import average_states


def net(seed: int, width: int = 3) -> nn.Module:
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(4, width), nn.BatchNorm1d(width))
    network(torch.randn(8, 4))
    return network


@pytest.mark.parametrize("weights", [[0.5, 0.5], [0.9, 0.1], [0.0, 1.0], [0.2, 0.3, 0.5]])
def test_every_number_is_the_weighted_mean(weights: list[float]) -> None:
    states = [net(seed).state_dict() for seed in range(len(weights))]
    mixed = average_states(states, weights)
    for name, tensor in mixed.items():
        if name == "1.num_batches_tracked":
            continue
        flat = [state[name].flatten().tolist() for state in states]
        for place, value in enumerate(tensor.flatten().tolist()):
            expected = sum(weight * each[place] for weight, each in zip(weights, flat, strict=True))
            assert value == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert {name: tensor.dtype for name, tensor in mixed.items()} == {n: t.dtype for n, t in states[0].items()}


def test_the_average_of_a_network_with_itself_is_itself() -> None:
    state = net(0).state_dict()
    mixed = average_states([state, state, state], [1 / 3] * 3)
    torch.testing.assert_close(mixed, dict(state), rtol=0, atol=0)
    assert all(mixed[name].data_ptr() != state[name].data_ptr() for name in state)


def test_different_architectures_have_no_average() -> None:
    with pytest.raises(ValueError, match=r"different architectures.*0\.weight is \(3, 4\).*\(5, 4\)"):
        average_states([net(0).state_dict(), net(0, width=5).state_dict()], [0.5, 0.5])
    with pytest.raises(ValueError, match=r"only one of them has 1\.bias"):
        average_states([net(0).state_dict(), nn.Sequential(nn.Linear(4, 3)).state_dict()], [0.5, 0.5])
