import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from ktlight.functional.projections import (
    normalized_error_per_sample,
    orthonormal_columns,
    squared_error_per_sample,
)

from .examples import random_logits

SHAPES = [(5, 3), (4, 4), (7, 1), (2, 2)]
widths = st.integers(1, 6).flatmap(lambda columns: st.tuples(st.integers(columns, 8), st.just(columns)))


@given(st.integers(0, 10**6), widths, st.sampled_from([0.1, 1.0, 10.0]))
def test_the_projection_is_the_cayley_transform(seed: int, shape: tuple[int, int], scale: float) -> None:
    free_ED = random_logits(seed, *shape, scale=scale)
    rows, columns = shape
    skew = np.zeros((rows, rows))
    for i in range(rows):
        for j in range(columns):
            skew[i, j] += free_ED[i, j]
            skew[j, i] -= free_ED[i, j]
    whole = np.linalg.inv(np.eye(rows) + skew / 2) @ (np.eye(rows) - skew / 2)
    np.testing.assert_allclose(orthonormal_columns(free_ED), whole[:, :columns], atol=1e-9)


@given(st.integers(0, 10**6), st.sampled_from(SHAPES), st.sampled_from([1e-3, 1.0, 30.0]))
def test_columns_are_orthonormal(seed: int, shape: tuple[int, int], scale: float) -> None:
    matrix_ED = orthonormal_columns(random_logits(seed, *shape, scale=scale, dtype=torch.float32))
    torch.testing.assert_close(matrix_ED.T @ matrix_ED, torch.eye(shape[1]), rtol=0, atol=1e-4)


def test_inner_products_are_kept() -> None:
    features_BD, matrix_ED = random_logits(0, 6, 3), orthonormal_columns(random_logits(1, 5, 3))
    mapped_BE = features_BD @ matrix_ED.T
    torch.testing.assert_close(mapped_BE @ mapped_BE.T, features_BD @ features_BD.T)


def test_of_zeros_it_is_the_first_axes() -> None:
    assert torch.equal(orthonormal_columns(torch.zeros(4, 2)), torch.eye(4, 2))


def test_orthonormal_under_autocast() -> None:
    free_ED = random_logits(2, 16, 8, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        matrix_ED = orthonormal_columns(free_ED)
    assert torch.equal(matrix_ED, orthonormal_columns(free_ED))
    half = orthonormal_columns(free_ED.bfloat16())
    torch.testing.assert_close(half.T @ half, torch.eye(8), rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_of_the_projection(shape: tuple[int, int]) -> None:
    assert torch.autograd.gradcheck(orthonormal_columns, random_logits(3, *shape).requires_grad_())


def squared(a: list[float], b: list[float]) -> float:
    return sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) / len(a)


def smooth(a: list[float], b: list[float]) -> float:
    mean = sum(b) / len(b)
    deviation = math.sqrt(sum((y - mean) ** 2 for y in b) / len(b) + 1e-5)
    gaps = [abs(x - (y - mean) / deviation) for x, y in zip(a, b, strict=True)]
    return sum(gap - 0.5 if gap > 1 else gap**2 / 2 for gap in gaps) / len(gaps)


@pytest.mark.parametrize(
    ("error", "loop"), [(squared_error_per_sample, squared), (normalized_error_per_sample, smooth)]
)
def test_errors_equal_a_loop(error, loop) -> None:  # type: ignore[no-untyped-def]
    own, target = random_logits(0, 5, 7), random_logits(1, 5, 7) + 3
    expected = [loop(a, b) for a, b in zip(own.tolist(), target.tolist(), strict=True)]
    assert error(own, target).tolist() == pytest.approx(expected)
    assert torch.autograd.gradcheck(error, [own.requires_grad_(), target.requires_grad_()])
    halves = own.detach().bfloat16(), target.detach().bfloat16()
    assert torch.equal(error(*halves), error(*(half.float() for half in halves)))


def test_equal_features_have_no_squared_error() -> None:
    features = random_logits(0, 4, 6)
    assert torch.equal(squared_error_per_sample(features, features), torch.zeros(4, dtype=torch.float64))


@given(st.integers(0, 10**6), st.floats(0.5, 100), st.floats(-100, 100))
def test_scale_and_shift_of_the_target_say_nothing(seed: int, scale: float, shift: float) -> None:
    own, target = random_logits(seed, 4, 6), 10 * random_logits(seed + 1, 4, 6)
    moved: Tensor = normalized_error_per_sample(own, scale * target + shift)
    torch.testing.assert_close(moved, normalized_error_per_sample(own, target), rtol=1e-4, atol=1e-4)


def test_a_target_that_is_the_same_everywhere_is_zero() -> None:
    own = random_logits(0, 3, 4)
    constant = normalized_error_per_sample(own, torch.full((3, 4), 7.0, dtype=torch.float64))
    torch.testing.assert_close(constant, torch.nn.functional.smooth_l1_loss(own, 0 * own, reduction="none").mean(1))


def test_projecting_does_not_wait_for_the_device() -> None:
    with FakeTensorMode():  # to ask for a value is an error
        free_ED = torch.zeros(5, 3, requires_grad=True)
        mapped_BE = torch.zeros(2, 3) @ orthonormal_columns(free_ED).T
        for error in (squared_error_per_sample, normalized_error_per_sample):
            assert torch.autograd.grad(error(mapped_BE, mapped_BE).sum(), free_ED, retain_graph=True)[0].shape == (5, 3)
