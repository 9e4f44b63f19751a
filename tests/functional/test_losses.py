import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import rel_entr
from scipy.special import softmax as scipy_softmax
from torch.nn.functional import cross_entropy, one_hot

from ktlight.functional.losses import (
    kl_divergence,
    kl_divergence_per_sample,
    masked_mean,
    soft_cross_entropy_per_sample,
)

from .examples import random_logits, softmax

TEMPERATURES = [0.5, 1.0, 4.0]
LOSSES = [kl_divergence_per_sample, soft_cross_entropy_per_sample]


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_kl_divergence_equals_a_written_out_sum(temperature):
    student_BC, target_BC = random_logits(0, 5, 7), random_logits(1, 5, 7)
    expected = []
    for student, target in zip(student_BC.tolist(), target_BC.tolist(), strict=True):
        p, q = softmax(target, temperature), softmax(student, temperature)
        expected.append(temperature**2 * sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)))
    assert kl_divergence_per_sample(student_BC, target_BC, temperature).tolist() == pytest.approx(expected)
    assert kl_divergence(student_BC, target_BC, temperature).item() == pytest.approx(sum(expected) / 5)


def test_kl_divergence_equals_scipy_relative_entropy():
    student_BC, target_BC = random_logits(2, 20, 11), random_logits(3, 20, 11)
    p, q = scipy_softmax(target_BC.numpy(), axis=1), scipy_softmax(student_BC.numpy(), axis=1)
    assert kl_divergence(student_BC, target_BC).item() == pytest.approx(rel_entr(p, q).sum(1).mean())


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_soft_cross_entropy_equals_a_written_out_sum(temperature):
    student_BC, target_BC = random_logits(4, 5, 7), random_logits(5, 5, 7)
    expected = []
    for student, target in zip(student_BC.tolist(), target_BC.tolist(), strict=True):
        p, q = softmax(target, temperature), softmax(student, temperature)
        expected.append(-(temperature**2) * sum(a * math.log(b) for a, b in zip(p, q, strict=True)))
    assert soft_cross_entropy_per_sample(student_BC, target_BC, temperature).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_on_both_sides(loss, temperature):
    student_BC = random_logits(6, 3, 4).requires_grad_()
    target_BC = random_logits(7, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda s, t: loss(s, t, temperature), (student_BC, target_BC))


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_both_losses_have_the_same_gradient_in_the_student(temperature):
    student_BC, target_BC = random_logits(8, 3, 4).requires_grad_(), random_logits(9, 3, 4)
    gradients = [
        torch.autograd.grad(loss(student_BC, target_BC, temperature).mean(), student_BC)[0]
        for loss in (kl_divergence, soft_cross_entropy_per_sample)
    ]
    torch.testing.assert_close(*gradients)


def test_soft_cross_entropy_with_a_certain_target_is_cross_entropy():
    student_BC, labels_B = random_logits(10, 6, 5), torch.tensor([0, 1, 2, 3, 4, 0])
    target_BC = 1000.0 * one_hot(labels_B, 5)
    soft_B = soft_cross_entropy_per_sample(student_BC, target_BC)
    torch.testing.assert_close(soft_B, cross_entropy(student_BC, labels_B, reduction="none"))


@given(st.integers(0, 10**6), st.floats(0.1, 10), st.floats(0.25, 8), st.floats(-100, 100), st.floats(-100, 100))
def test_kl_divergence_properties(seed, scale, temperature, student_shift, target_shift):
    student_BC, target_BC = random_logits(seed, 4, 6, scale=scale), random_logits(seed + 1, 4, 6, scale=scale)
    divergence_B = kl_divergence_per_sample(student_BC, target_BC, temperature)
    assert (divergence_B >= 0).all()
    shifted_B = kl_divergence_per_sample(student_BC + student_shift, target_BC + target_shift, temperature)
    torch.testing.assert_close(shifted_B, divergence_B)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(seed))
    permuted_B = kl_divergence_per_sample(student_BC[:, order], target_BC[:, order], temperature)
    torch.testing.assert_close(permuted_B, divergence_B)
    torch.testing.assert_close(kl_divergence_per_sample(target_BC, target_BC, temperature), torch.zeros(4).double())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("loss", LOSSES)
def test_half_precision_is_computed_in_float32(loss, dtype):
    student_BC, target_BC = random_logits(11, 4, 50, dtype=dtype), random_logits(12, 4, 50, dtype=dtype)
    expected_B = loss(student_BC.float(), target_BC.float())
    assert expected_B.dtype == torch.float32
    assert torch.equal(loss(student_BC, target_BC), expected_B)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(loss(student_BC, target_BC), expected_B)


@pytest.mark.parametrize("loss", LOSSES)
def test_extreme_logits_give_finite_values_and_gradients(loss):
    student_BC = torch.tensor([[0.0, 500.0, -500.0], [3e4, 0.0, -3e4]], requires_grad=True)
    target_BC = torch.tensor([[500.0, 0.0, -500.0], [3e4, 0.0, -3e4]], requires_grad=True)
    value = loss(student_BC, target_BC).sum()
    gradients = torch.autograd.grad(value, (student_BC, target_BC))
    assert value.isfinite() and all(gradient.isfinite().all() for gradient in gradients)


@given(st.lists(st.tuples(st.floats(-1e3, 1e3), st.integers(-1, 3)), min_size=1, max_size=20))
def test_masked_mean_equals_a_loop(pairs):
    values, sources = zip(*pairs, strict=True)
    kept = [value for value, source in pairs if source >= 0]
    expected = math.fsum(kept) / len(pairs)
    mean = masked_mean(torch.tensor(values, dtype=torch.float64), torch.tensor(sources))
    assert mean.item() == pytest.approx(expected, abs=1e-9)


def test_masked_mean_gradient_of_a_sample_does_not_depend_on_the_others():
    values_B = torch.tensor([1.0, math.inf, 3.0], requires_grad=True)
    mean = masked_mean(values_B, torch.tensor([0, -1, 1]))
    assert mean.item() == pytest.approx(4 / 3)
    assert torch.autograd.grad(mean, values_B)[0].tolist() == pytest.approx([1 / 3, 0.0, 1 / 3])


def test_masked_mean_of_nothing_is_zero_with_zero_gradient():
    values_B = torch.tensor([1.0, math.nan], requires_grad=True)
    mean = masked_mean(values_B, torch.tensor([-1, -1]))
    assert mean.item() == 0.0
    assert torch.autograd.grad(mean, values_B)[0].tolist() == [0.0, 0.0]


def test_masked_mean_without_omissions_is_the_mean():
    values_B = random_logits(13, 9)
    assert masked_mean(values_B, torch.zeros(9, dtype=torch.int64)).item() == pytest.approx(np.mean(values_B.numpy()))
