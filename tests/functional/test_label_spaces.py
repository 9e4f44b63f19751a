"""Answers in other classes, against loops over classes and samples."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.special import logsumexp
from torch import Tensor

from ktlight.errors import UserError
from ktlight.functional.label_spaces import (
    columns_of,
    complete_with,
    count_together,
    learned_weights,
    map_logits,
    map_weighted,
)


def mapped_slowly(logits: np.ndarray, classes: list[int], num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    log_q, mass = np.full((len(logits), num_classes), -np.inf), np.zeros(len(logits))
    for row, said in enumerate(logits.astype(np.float64)):
        mapped = logsumexp([value for value, y in zip(said, classes, strict=True) if y >= 0])
        mass[row] = np.exp(mapped - logsumexp(said))
        for y in range(num_classes):
            own = [value for value, to in zip(said, classes, strict=True) if to == y]
            if own:
                log_q[row, y] = logsumexp(own) - mapped
    return log_q, mass


@st.composite
def maps(draw: st.DrawFn) -> tuple[Tensor, list[int], int]:
    num_classes = draw(st.integers(1, 6))
    classes = draw(st.lists(st.integers(-1, num_classes - 1), min_size=1, max_size=12).filter(lambda c: max(c) >= 0))
    seed, scale = draw(st.integers(0, 99)), draw(st.sampled_from([0.1, 3.0, 300.0]))
    return scale * torch.randn(5, len(classes), generator=torch.manual_seed(seed)), classes, num_classes


@given(maps())
def test_the_sum_of_the_classes_that_map_to_one(case: tuple[Tensor, list[int], int]) -> None:
    logits_BZ, classes, num_classes = case
    log_q, mass = map_logits(logits_BZ, torch.tensor(classes), num_classes)
    expected, expected_mass = mapped_slowly(logits_BZ.numpy(), classes, num_classes)
    assert_allclose(log_q, expected, rtol=1e-5, atol=1e-4)
    assert_allclose(mass, expected_mass, rtol=1e-4, atol=1e-6)
    assert_allclose(log_q.double().exp().sum(1), 1, rtol=1e-4)


@given(maps())
def test_weights_of_0_and_1_are_a_plain_map(case: tuple[Tensor, list[int], int]) -> None:
    logits_BZ, classes, num_classes = case
    weights_ZC = torch.zeros(len(classes), num_classes)
    for z, y in enumerate(classes):
        if y >= 0:
            weights_ZC[z, y] = 1
    log_q, mass = map_weighted(logits_BZ, weights_ZC)
    expected, expected_mass = map_logits(logits_BZ, torch.tensor(classes), num_classes)
    likely = expected > -80  # a smaller probability underflows in the product
    assert_allclose(log_q[likely], expected[likely], rtol=1e-4, atol=1e-4)
    assert_allclose(mass, expected_mass, rtol=1e-4, atol=1e-6)


def test_weights_share_a_class_among_several() -> None:
    logits_BZ, weights_ZC = torch.randn(7, 3), torch.tensor([[0.5, 0.25], [0, 1], [0, 0]])
    log_q, mass = map_weighted(logits_BZ, weights_ZC)
    joint = np.exp(logits_BZ.double().log_softmax(1).numpy()) @ weights_ZC.double().numpy()
    assert_allclose(mass, joint.sum(1), rtol=1e-5)
    assert_allclose(log_q.exp(), joint / joint.sum(1, keepdims=True), rtol=1e-5)


def test_what_is_hardly_mapped_still_has_a_distribution() -> None:
    logits_BZ = torch.tensor([[500.0, 1.0, 0.0]])
    for log_q, mass in (
        map_logits(logits_BZ, torch.tensor([-1, 0, 1]), 2),
        map_weighted(logits_BZ, torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])),
    ):
        assert mass.item() == 0
        assert_allclose(log_q[0], np.log([1 / (1 + np.exp(-1)), 1 / (1 + np.exp(1))]), rtol=1e-5)


def test_a_class_that_nothing_maps_to_has_no_probability() -> None:
    log_q, _ = map_logits(torch.zeros(2, 3), torch.tensor([0, 0, 2]), 4)
    assert torch.equal(log_q.isneginf(), torch.tensor([[False, True, False, True]]).expand(2, 4))


@pytest.mark.parametrize("classes", [[-1, -1, -1], [0, 1, 2]])
def test_a_map_to_nothing_or_beyond_is_refused(classes: list[int]) -> None:
    with pytest.raises(UserError, match="a map to 2 classes has to name at least one of them"):
        map_logits(torch.zeros(1, 3), torch.tensor(classes), 2)


def test_half_precision_is_computed_in_float32() -> None:
    log_q, mass = map_logits(torch.randn(2, 5).bfloat16(), torch.tensor([0, 1, 1, -1, 0]), 2)
    assert log_q.dtype == mass.dtype == torch.float32


@given(st.lists(st.integers(-1, 5), min_size=1, max_size=20))
def test_columns_are_those_of_each_class_in_order(classes: list[int]) -> None:
    columns_CK = columns_of(torch.tensor(classes), 6)
    for y, columns in enumerate(columns_CK.tolist()):
        own = [z for z, to in enumerate(classes) if to == y]
        assert columns == own + [len(classes)] * (columns_CK.shape[1] - len(own))


def test_learned_weights_are_smoothed_counts() -> None:
    logits_NZ, labels_N = torch.randn(50, 4), torch.randint(3, (50,))
    theta = np.exp(logits_NZ.double().log_softmax(1).numpy())
    expected = np.zeros((4, 3))
    for z in range(4):
        for y in range(3):
            together = sum(theta[i, z] for i in range(50) if labels_N[i] == y)
            expected[z, y] = (together + 0.5) / (theta[:, z].sum() + 1.5)
    assert_allclose(learned_weights(count_together(logits_NZ, labels_N, 3)), expected, rtol=1e-6)


def test_counts_of_batches_add_up() -> None:
    logits_NZ, labels_N = torch.randn(50, 2), torch.arange(50) % 3
    parts = [count_together(logits_NZ[part], labels_N[part], 3) for part in (slice(0, 20), slice(20, 50))]
    assert_allclose(parts[0] + parts[1], count_together(logits_NZ, labels_N, 3))


def test_another_model_speaks_for_the_rest() -> None:
    log_q, mass = map_logits(torch.randn(6, 5), torch.tensor([0, 0, 2, -1, -1]), 4)
    other = torch.randn(6, 4)
    m, p, q = mass.double().numpy()[:, None], other.double().softmax(1).numpy(), log_q.double().exp().numpy()
    completed = complete_with(log_q, mass, other)
    assert_allclose(completed.exp(), m * q + (1 - m) * p, rtol=1e-5)
    assert completed.isfinite().all()


@pytest.mark.parametrize("mass", [0.0, 1.0])
def test_all_or_nothing(mass: float) -> None:
    log_q, other = torch.randn(3, 4).log_softmax(1), torch.randn(3, 4)
    said = complete_with(log_q, torch.full((3,), mass), other)
    torch.testing.assert_close(said, log_q if mass else other.log_softmax(1))
