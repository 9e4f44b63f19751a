import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ktlight.functional.interpolation import interpolate_


def tensors(seed):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for shape in [(3, 4), (5,), ()]]


@given(st.integers(0, 10**6), st.floats(0, 1))
def test_interpolation_equals_a_loop_over_elements(seed, tau):
    slow, fast = tensors(seed), tensors(seed + 1)
    before, unchanged = [t.clone() for t in slow], [t.clone() for t in fast]
    interpolate_(slow, fast, tau)
    for now, old, new, kept in zip(slow, before, fast, unchanged, strict=True):
        elements = zip(old.flatten().tolist(), new.flatten().tolist(), strict=True)
        expected = [tau * a + (1 - tau) * b for a, b in elements]
        assert now.flatten().tolist() == pytest.approx(expected, rel=1e-5, abs=1e-6)
        assert torch.equal(new, kept)


def test_tau_0_copies_and_tau_1_keeps_exactly():
    slow, fast = tensors(0), tensors(1)
    interpolate_(slow, fast, 1.0)
    assert all(torch.equal(now, old) for now, old in zip(slow, tensors(0), strict=True))
    interpolate_(slow, fast, 0.0)
    assert all(torch.equal(now, new) for now, new in zip(slow, fast, strict=True))


def test_parameters_that_require_gradients_change_in_place():
    slow, fast = nn.Linear(3, 2), nn.Linear(3, 2)
    expected = 0.9 * slow.weight.detach() + 0.1 * fast.weight.detach()
    weight = slow.weight
    interpolate_(list(slow.parameters()), list(fast.parameters()), 0.9)
    assert slow.weight is weight and weight.requires_grad and weight.grad_fn is None
    torch.testing.assert_close(weight.detach(), expected)


def test_steps_compound_geometrically():
    slow, fast = [torch.ones(2, dtype=torch.float64)], [torch.zeros(2, dtype=torch.float64)]
    for _ in range(1000):
        interpolate_(slow, fast, 0.9999)
    assert slow[0].tolist() == pytest.approx([0.9999**1000] * 2)


def test_lists_of_different_length_are_refused():
    with pytest.raises(ValueError, match="2 slow tensors cannot follow 3 fast ones"):
        interpolate_(tensors(0)[:2], tensors(1), 0.5)
    interpolate_([], [], 0.5)
