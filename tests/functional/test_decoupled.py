import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ktlight.functional.decoupled import decoupled_divergence, decoupled_divergence_per_sample
from ktlight.functional.losses import kl_divergence_per_sample

from .examples import random_classes, random_logits, softmax


def loop(student_BC, target_BC, labels_B, alpha, beta, temperature):
    """The published formula, one sample after the other."""
    values = []
    for student, target, y in zip(student_BC.tolist(), target_BC.tolist(), labels_B.tolist(), strict=True):
        p, q = softmax(target, temperature), softmax(student, temperature)
        binary = p[y] * math.log(p[y] / q[y]) + (1 - p[y]) * math.log((1 - p[y]) / (1 - q[y]))
        others = 0.0
        for c in range(len(p)):
            if c != y:
                of_target, of_student = p[c] / (1 - p[y]), q[c] / (1 - q[y])
                others += of_target * math.log(of_target / of_student)
        values.append(temperature**2 * (alpha * binary + beta * others))
    return values


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.5), (1.0, 8.0), (0.0, 1.0), (1.0, 0.0)])
@pytest.mark.parametrize("classes", [2, 3, 7])
def test_equals_a_loop_over_the_formula(classes, alpha, beta, temperature):
    student_BC, target_BC = random_logits(0, 5, classes), random_logits(1, 5, classes)
    labels_B = random_classes(2, 5, classes)
    expected = loop(student_BC, target_BC, labels_B, alpha, beta, temperature)
    arguments = (student_BC, target_BC, labels_B, alpha, beta, temperature)
    assert decoupled_divergence_per_sample(*arguments).tolist() == pytest.approx(expected, abs=1e-9)
    assert decoupled_divergence(*arguments).item() == pytest.approx(sum(expected) / 5)


@given(st.integers(0, 10**6), st.integers(2, 8), st.floats(0.1, 5), st.floats(0.25, 8))
def test_weighted_by_the_mass_of_the_others_it_is_the_divergence(seed, classes, scale, temperature):
    student_BC = random_logits(seed, 4, classes, scale=scale).requires_grad_()
    target_BC = random_logits(seed + 1, 4, classes, scale=scale)
    labels_B = random_classes(seed + 2, 4, classes)
    mass_B = 1 - (target_BC / temperature).softmax(1)[torch.arange(4), labels_B]
    decoupled_B = decoupled_divergence_per_sample(student_BC, target_BC, labels_B, 1.0, mass_B, temperature)
    whole_B = kl_divergence_per_sample(student_BC, target_BC, temperature)
    torch.testing.assert_close(decoupled_B, whole_B, rtol=1e-6, atol=1e-9)
    gradients = [torch.autograd.grad(values_B.sum(), student_BC)[0] for values_B in (decoupled_B, whole_B)]
    torch.testing.assert_close(*gradients, rtol=1e-6, atol=1e-9)


def test_with_two_classes_the_weight_of_the_others_has_no_effect():
    student_BC = random_logits(3, 4, 2).requires_grad_()
    target_BC, labels_B = random_logits(4, 4, 2), random_classes(5, 4, 2)
    values = [decoupled_divergence(student_BC, target_BC, labels_B, 1.0, beta) for beta in (0.0, 8.0)]
    assert values[0] == values[1]
    assert torch.equal(*(torch.autograd.grad(value, student_BC)[0] for value in values))
    torch.testing.assert_close(values[0], kl_divergence_per_sample(student_BC, target_BC).mean())


def test_gradients_on_both_sides():
    inputs = random_logits(6, 3, 4).requires_grad_(), random_logits(7, 3, 4).requires_grad_()
    labels_B = random_classes(8, 3, 4)
    assert torch.autograd.gradcheck(lambda s, t: decoupled_divergence_per_sample(s, t, labels_B, 1.0, 0.5, 2.0), inputs)


def test_a_label_that_both_are_sure_of_is_compared_in_float32():
    # 1 - p rounds to 0 in float32 where the log-odds are 20 and 30.
    student_BC = torch.tensor([[20.0, 0.0, 0.0]])
    target_BC = torch.tensor([[30.0, 1.0, 0.0]])
    single_B = decoupled_divergence_per_sample(student_BC, target_BC, torch.tensor([0]), 1.0, 1.0)
    double_B = decoupled_divergence_per_sample(student_BC.double(), target_BC.double(), torch.tensor([0]), 1.0, 1.0)
    np.testing.assert_allclose(single_B.numpy(), double_B.numpy(), rtol=1e-5)
    assert single_B.item() > 0.1  # the others still differ


@pytest.mark.parametrize("classes", [2, 3])
def test_extreme_logits_give_finite_values_and_gradients(classes):
    rows = torch.tensor([[500.0, 0.0, -500.0], [0.0, 500.0, -500.0], [-1e4, 0.0, -1e4], [0.0, -1e4, -1e4]])
    student_BC, target_BC = rows[:, :classes].requires_grad_(), rows.flip(0)[:, :classes].requires_grad_()
    value = decoupled_divergence(student_BC, target_BC, torch.tensor([0, 0, 0, 1]), 1.0, 8.0)
    gradients = torch.autograd.grad(value, (student_BC, target_BC))
    assert value.isfinite() and all(gradient.isfinite().all() for gradient in gradients)


def test_half_precision_is_computed_in_float32():
    student_BC, target_BC = random_logits(9, 4, 50, dtype=torch.bfloat16), random_logits(10, 4, 50)
    labels_B = random_classes(11, 4, 50)
    value = decoupled_divergence(student_BC, target_BC.bfloat16(), labels_B, 1.0, 0.5)
    assert value.dtype == torch.float32
    assert torch.equal(
        value, decoupled_divergence(student_BC.float(), target_BC.bfloat16().float(), labels_B, 1.0, 0.5)
    )
