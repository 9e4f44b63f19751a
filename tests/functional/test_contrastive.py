import math
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ktlight.functional.contrastive import (
    log_normalizer,
    noise_contrastive_per_sample,
    other_class_rows,
    random_numbers,
    update_memory_,
)

from .examples import random_logits


def by_definition(scores: Tensor, normalizer: float, rows: int) -> list[float]:
    """Equations 18 and 19 of arXiv 1910.10699, written out."""
    losses = []
    for sample in scores.tolist():
        negatives = len(sample) - 1
        loss = 0.0
        for column, score in enumerate(sample):
            p = math.exp(score) / normalizer
            h = p / (p + negatives / rows)
            loss -= math.log(h if column == 0 else 1 - h)
        losses.append(loss)
    return losses


@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 6), st.integers(1, 100), st.floats(0.1, 1e3))
def test_the_loss_equals_a_double_loop(seed: int, samples: int, negatives: int, rows: int, normalizer: float) -> None:
    scores = random_logits(seed, samples, 1 + negatives)
    loss = noise_contrastive_per_sample(scores, torch.tensor(math.log(normalizer)), rows)
    assert loss.tolist() == pytest.approx(by_definition(scores, normalizer, rows), rel=1e-6)


def test_gradients() -> None:
    scores = random_logits(0, 3, 5).requires_grad_()
    assert torch.autograd.gradcheck(lambda s: noise_contrastive_per_sample(s, torch.tensor(1.3), 50), scores)


def test_the_estimated_normaliser_is_n_times_the_mean() -> None:
    scores = random_logits(1, 4, 6)
    mean = sum(math.exp(score) for row in scores.tolist() for score in row) / 24
    assert log_normalizer(scores, 90).exp().item() == pytest.approx(90 * mean)


def test_large_scores_stay_finite() -> None:
    scores = (torch.tensor([[1.0, -1.0], [-1.0, 1.0]]) / 0.001).requires_grad_()
    loss = noise_contrastive_per_sample(scores, torch.tensor(5.0), 1000)
    (gradient,) = torch.autograd.grad(loss.sum(), scores)
    assert loss.isfinite().all() and gradient.isfinite().all() and loss[0] < 1e-3 < loss[1]


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=3))
def test_random_numbers_are_split_mix_in_plain_integers(seeds: list[int]) -> None:
    expected = []
    for seed in seeds:
        row, state = [], seed % 2**64
        for _ in range(4):
            state = (state + 0x9E3779B97F4A7C15) % 2**64
            bits = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
            bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) % 2**64
            row.append((bits ^ (bits >> 31)) >> 1)
        expected.append(row)
    assert random_numbers(torch.tensor(seeds), 4).tolist() == expected


def test_the_first_numbers_of_the_published_generator() -> None:
    # seed 1234567, as listed for SplitMix64 on Rosetta Code
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert random_numbers(torch.tensor([1234567]), 4).tolist() == [[number >> 1 for number in published]]


@given(st.lists(st.integers(0, 4), min_size=2, max_size=30).filter(lambda labels: len(set(labels)) > 1))
def test_rows_of_other_classes(labels: list[int]) -> None:
    labels_N = torch.tensor(labels)
    own_B = labels_N.unique()
    numbers = torch.arange(200 * len(labels)).repeat(len(own_B), 1)
    drawn = other_class_rows(numbers, own_B, labels_N.argsort(stable=True), labels_N.bincount())
    for own, rows in zip(own_B.tolist(), drawn.tolist(), strict=True):
        others = {row for row, label in enumerate(labels) if label != own}
        assert set(rows) == others  # all of them, and none of its own class
        counts = Counter(rows).values()
        assert max(counts) <= min(counts) + 1  # as often as each other


@pytest.mark.parametrize("momentum", [0.0, 0.5, 1.0])
def test_the_update_equals_a_loop(momentum: float) -> None:
    memory = torch.nn.functional.normalize(random_logits(2, 2, 7, 3), dim=2)
    rows, new = torch.tensor([5, 0, 3]), torch.nn.functional.normalize(random_logits(3, 3, 2, 3), dim=2)
    expected = memory.clone().tolist()
    for place, row in enumerate(rows.tolist()):
        for bank in range(2):
            old, fresh = expected[bank][row], new[place, bank].tolist()
            moved = [momentum * a + (1 - momentum) * b for a, b in zip(old, fresh, strict=True)]
            length = math.sqrt(sum(value**2 for value in moved))
            expected[bank][row] = [value / length for value in moved]
    update_memory_(memory, rows, new, momentum)
    torch.testing.assert_close(memory, torch.tensor(expected, dtype=torch.float64))
