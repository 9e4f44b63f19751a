import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ktlight.functional.losses import kl_divergence_per_sample
from ktlight.functional.standardization import standardize_logits

from .examples import random_logits


@pytest.mark.parametrize("classes", [2, 5, 1000])
def test_each_sample_is_standardised_as_a_loop_would(classes):
    logits_BC = random_logits(0, 4, classes)
    expected = [[(value - np.mean(row)) / (np.std(row) + 1e-7) for value in row] for row in logits_BC.numpy()]
    np.testing.assert_allclose(standardize_logits(logits_BC).numpy(), expected, rtol=1e-12, atol=1e-12)


@given(st.integers(0, 10**6), st.floats(0.1, 10), st.floats(-50, 50), st.floats(0.25, 8))
def test_the_divergence_of_standardised_logits_does_not_see_scale_and_shift(seed, scale, shift, temperature):
    student_BC, target_BC = random_logits(seed, 4, 6), random_logits(seed + 1, 4, 6)

    def divergence_B(student_BC, target_BC):
        return kl_divergence_per_sample(standardize_logits(student_BC), standardize_logits(target_BC), temperature)

    expected_B = divergence_B(student_BC, target_BC)
    torch.testing.assert_close(divergence_B(scale * student_BC + shift, target_BC), expected_B, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(divergence_B(student_BC, scale * target_BC + shift), expected_B, rtol=1e-4, atol=1e-6)


def test_the_largest_value_is_bounded_by_the_number_of_classes():
    one_BC = torch.tensor([[1e4, 0.0, 0.0, 0.0, 0.0]])
    assert standardize_logits(one_BC).max().item() == pytest.approx(2.0)  # sqrt(C - 1)


def test_gradients():
    logits_BC = random_logits(1, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(standardize_logits, logits_BC)


@pytest.mark.parametrize("rows", [[[3.0, 3.0, 3.0]], [[-1e4, -1e4, -1e4]], [[0.1, 0.1, 0.1]], [[0.0, -1e4, 1.0]]])
def test_constant_rows_and_far_logits_give_finite_values_and_gradients(rows):
    logits_BC = torch.tensor(rows, requires_grad=True)
    target_BC = standardize_logits(torch.tensor([[1.0, 2.0, 4.0]]))
    value = kl_divergence_per_sample(standardize_logits(logits_BC), target_BC).sum()
    (gradient,) = torch.autograd.grad(value, logits_BC)
    assert value.isfinite() and gradient.isfinite().all()


def test_half_precision_is_computed_in_float32():
    logits_BC = random_logits(2, 4, 50, dtype=torch.bfloat16)
    assert torch.equal(standardize_logits(logits_BC), standardize_logits(logits_BC.float()))
    assert standardize_logits(logits_BC).dtype == torch.float32
