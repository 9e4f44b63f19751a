import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ktlight.functional.losses import kl_divergence_per_sample, soft_cross_entropy_per_sample
from ktlight.functional.powers import enhanced_cross_entropy_per_sample, transformed_divergence_per_sample

from .examples import random_classes, random_logits, softmax


@pytest.mark.parametrize("exponent", [0.1, 0.5, 1.0])
def test_the_transformed_divergence_equals_a_loop_over_the_formula(exponent):
    student_BC, target_BC = random_logits(0, 5, 7), random_logits(1, 5, 7)
    expected = []
    for student, target in zip(student_BC.tolist(), target_BC.tolist(), strict=True):
        powers, q = [p**exponent for p in softmax(target)], softmax(student)
        total = sum(powers)
        terms = [power / total * math.log(power / total / b) for power, b in zip(powers, q, strict=True)]
        expected.append(total * sum(terms))
    assert transformed_divergence_per_sample(student_BC, target_BC, exponent).tolist() == pytest.approx(expected)


@given(st.integers(0, 10**6), st.floats(0.1, 10))
def test_with_the_exponent_1_it_is_the_divergence(seed, scale):
    student_BC = random_logits(seed, 4, 6, scale=scale).requires_grad_()
    target_BC = random_logits(seed + 1, 4, 6, scale=scale)
    values = [transformed_divergence_per_sample(student_BC, target_BC, 1.0)]
    values.append(kl_divergence_per_sample(student_BC, target_BC))
    torch.testing.assert_close(*values)
    torch.testing.assert_close(*(torch.autograd.grad(value.sum(), student_BC)[0] for value in values))


def test_a_smooth_teacher_weighs_more_than_a_certain_one():
    student_BC = torch.zeros(2, 4).requires_grad_()
    target_BC = torch.tensor([[1.0, 0.0, 0.0, 0.0], [100.0, 0.0, 0.0, 0.0]])
    (gradient_BC,) = torch.autograd.grad(
        transformed_divergence_per_sample(student_BC, target_BC, 0.5).sum(), student_BC
    )
    powers_BC = target_BC.softmax(1) ** 0.5
    sum_B1 = powers_BC.sum(1, keepdim=True)
    torch.testing.assert_close(gradient_BC, sum_B1 * (0.25 - powers_BC / sum_B1))  # U (p_s - p_t^g / U)
    assert sum_B1[0] > 1.9 and sum_B1[1] == 1


@pytest.mark.parametrize("temperature", [1.0, 2.0])
@pytest.mark.parametrize("exponent", [1.0, 1.5, 2.0])
def test_the_enhanced_cross_entropy_equals_a_loop_over_the_formula(exponent, temperature):
    student_BC, target_BC, labels_B = random_logits(2, 5, 7), random_logits(3, 5, 7), random_classes(4, 5, 7)
    expected = []
    for student, target, y in zip(student_BC.tolist(), target_BC.tolist(), labels_B.tolist(), strict=True):
        p, q = softmax(target, temperature), softmax(student, temperature)
        label = [float(c == y) for c in range(7)]
        expected.append(-sum(((p[c] + label[c]) ** exponent - label[c]) * math.log(q[c]) for c in range(7)))
    values_B = enhanced_cross_entropy_per_sample(student_BC, target_BC, labels_B, exponent, temperature)
    assert values_B.tolist() == pytest.approx(expected)


def test_with_the_exponent_1_it_is_the_soft_cross_entropy():
    student_BC = random_logits(5, 4, 6).requires_grad_()
    target_BC, labels_B = random_logits(6, 4, 6), random_classes(7, 4, 6)
    values = [enhanced_cross_entropy_per_sample(student_BC, target_BC, labels_B, 1.0)]
    values.append(soft_cross_entropy_per_sample(student_BC, target_BC))
    torch.testing.assert_close(*values)
    torch.testing.assert_close(*(torch.autograd.grad(value.sum(), student_BC)[0] for value in values))


LOSSES = [
    lambda student_BC, target_BC: transformed_divergence_per_sample(student_BC, target_BC, 0.3),
    lambda student_BC, target_BC: enhanced_cross_entropy_per_sample(
        student_BC, target_BC, torch.zeros(len(student_BC), dtype=torch.int64), 1.5
    ),
]


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_on_both_sides(loss):
    inputs = random_logits(8, 3, 4).requires_grad_(), random_logits(9, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(loss, inputs)


@pytest.mark.parametrize("loss", LOSSES)
def test_extreme_logits_give_finite_values_and_gradients(loss):
    student_BC = torch.tensor([[0.0, 500.0, -500.0], [-1e4, 0.0, -1e4], [0.0, 0.0, 0.0]], requires_grad=True)
    target_BC = torch.tensor([[500.0, 0.0, -500.0], [3e4, 0.0, -1e4], [0.0, -1e4, -1e4]], requires_grad=True)
    value = loss(student_BC, target_BC).sum()
    gradients = torch.autograd.grad(value, (student_BC, target_BC))
    assert value.isfinite() and all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("loss", LOSSES)
def test_half_precision_is_computed_in_float32(loss):
    student_BC, target_BC = (random_logits(seed, 4, 50, dtype=torch.bfloat16) for seed in (10, 11))
    value_B = loss(student_BC, target_BC)
    assert value_B.dtype == torch.float32 and torch.equal(value_B, loss(student_BC.float(), target_BC.float()))
