import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr

from ktlight.functional.correlation import column_distances, correlation_distance, correlations, row_distances

from .examples import random_logits, softmax


def loop(student_BC, target_BC, beta, gamma, temperature):
    """The published formula, one row and column after the other, with scipy's correlation."""
    p, q = (np.array([softmax(row, temperature) for row in each.tolist()]) for each in (target_BC, student_BC))
    rows = [1 - pearsonr(p[b], q[b]).statistic for b in range(len(p))]
    columns = [1 - pearsonr(p[:, c], q[:, c]).statistic for c in range(p.shape[1])]
    return temperature**2 * (beta * np.mean(rows) + gamma * np.mean(columns))


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize(("beta", "gamma"), [(2.0, 2.0), (1.0, 0.0), (0.0, 3.0)])
def test_equals_a_loop_over_the_formula(beta, gamma, temperature):
    student_BC, target_BC = random_logits(0, 6, 5), random_logits(1, 6, 5)
    distance = correlation_distance(student_BC, target_BC, beta, gamma, temperature)
    assert distance.item() == pytest.approx(loop(student_BC, target_BC, beta, gamma, temperature))


def test_columns_are_those_of_the_samples_kept():
    student_BC, target_BC = random_logits(2, 6, 5), random_logits(3, 6, 5)
    kept_B = torch.tensor([True, False, True, True, False, True])
    kept_C = column_distances(student_BC, target_BC, kept_B, 2.0)
    torch.testing.assert_close(kept_C, column_distances(student_BC[kept_B], target_BC[kept_B], None, 2.0))
    student_BC.requires_grad_()
    (gradient_BC,) = torch.autograd.grad(column_distances(student_BC, target_BC, kept_B).sum(), student_BC)
    assert ((gradient_BC != 0).any(1) == kept_B).all()


@given(st.integers(0, 10**6), st.floats(0.1, 10), st.floats(-5, 5), st.integers(0, 1))
def test_correlations_do_not_see_scale_and_shift(seed, scale, shift, dim):
    first_BC, second_BC = random_logits(seed, 4, 6).softmax(1), random_logits(seed + 1, 4, 6).softmax(1)
    expected = correlations(first_BC, second_BC, dim)
    torch.testing.assert_close(correlations(scale * first_BC + shift, second_BC, dim), expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(correlations(-scale * first_BC, second_BC, dim), -expected, rtol=1e-6, atol=1e-6)
    assert (expected.abs() <= 1 + 1e-9).all()


def test_equal_predictions_have_no_distance():
    logits_BC = random_logits(4, 6, 5)
    assert correlation_distance(logits_BC, logits_BC + 3.0, 2.0, 2.0).item() == pytest.approx(0.0, abs=1e-12)


def test_gradients_on_both_sides():
    inputs = random_logits(5, 3, 4).requires_grad_(), random_logits(6, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda s, t: correlation_distance(s, t, 2.0, 1.0, 2.0), inputs)


CONSTANT = torch.zeros(3, 4)
ALIKE = torch.tensor([[1.0, 2.0, 0.0, 5.0]]).expand(3, 4)
CERTAIN = torch.tensor([[1e4, 0.0, 0.0, -1e4]]).expand(3, 4)


@pytest.mark.parametrize("student", [CONSTANT, ALIKE, CERTAIN, ALIKE[:1]])
@pytest.mark.parametrize("target", [CONSTANT, ALIKE, CERTAIN, None])
def test_constant_rows_and_columns_give_finite_values_and_gradients(student, target):
    student_BC = student.clone().requires_grad_()
    target_BC = (random_logits(7, 3, 4).float() if target is None else target)[: len(student)]
    value = correlation_distance(student_BC, target_BC, 2.0, 2.0)
    (gradient_BC,) = torch.autograd.grad(value, student_BC)
    assert value.isfinite() and gradient_BC.isfinite().all()


def test_with_one_sample_the_columns_say_nothing():
    student_BC, target_BC = random_logits(8, 1, 4).requires_grad_(), random_logits(9, 1, 4)
    value = correlation_distance(student_BC, target_BC, 2.0, 3.0)
    assert value.item() == pytest.approx(2 * row_distances(student_BC, target_BC).item() + 3)
    columns = column_distances(student_BC, target_BC, None).sum()
    assert (torch.autograd.grad(columns, student_BC)[0] == 0).all()


def test_half_precision_is_computed_in_float32():
    student_BC, target_BC = (random_logits(seed, 4, 50, dtype=torch.float16) for seed in (10, 11))
    value = correlation_distance(student_BC, target_BC, 2.0, 2.0)
    assert value.dtype == torch.float32
    assert torch.equal(value, correlation_distance(student_BC.float(), target_BC.float(), 2.0, 2.0))
