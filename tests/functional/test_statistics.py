import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.stats import entropy

from ktlight.functional.statistics import (
    class_counts,
    class_entropy,
    mcnemar_p_value,
    mean_interval,
    paired_interval,
    top_classes,
)

counts = st.lists(st.integers(0, 40), min_size=1, max_size=30)


def test_paired_interval_reproduces_the_authors_own_implementation():
    # D. Bonett's R package statpsych documents ci.prop.ps(.05, 12, 4, 26, 6) = [0.2548067, 0.6251933].
    interval = paired_interval(gained=26, lost=4, total=48)
    assert interval == pytest.approx((25.48067, 62.51933), abs=5e-6)


@given(st.integers(0, 500), st.integers(0, 500), st.integers(0, 5000), st.floats(0.5, 0.99))
def test_paired_interval_properties(gained, lost, unchanged, confidence):
    total = gained + lost + unchanged + 1
    low, high = paired_interval(gained, lost, total, confidence)
    assert -100 <= low < high <= 100
    assert low <= 100 * (gained - lost) / (total + 2) <= high
    mirrored = paired_interval(lost, gained, total, confidence)
    assert mirrored == pytest.approx((-high, -low), abs=1e-9)
    wider_low, wider_high = paired_interval(gained, lost, total, confidence + 0.005)
    assert wider_low <= low and high <= wider_high


def test_paired_interval_covers_the_truth_as_often_as_it_says():
    samples, gain, loss = 1000, 0.05, 0.03
    draws = np.random.default_rng(0).multinomial(samples, [gain, loss, 1 - gain - loss], size=4000)
    covered = 0
    for gained, lost, _ in draws.tolist():
        low, high = paired_interval(gained, lost, samples)
        covered += low <= 100 * (gain - loss) <= high
    assert 0.94 <= covered / len(draws) <= 0.965


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_equals_the_written_out_binomial_tail(gained, lost):
    changed = gained + lost
    tail = sum(math.comb(changed, k) for k in range(min(gained, lost) + 1)) / 2**changed
    assert mcnemar_p_value(gained, lost) == pytest.approx(min(1.0, 2 * tail))


def test_mcnemar_without_any_change_is_1():
    assert mcnemar_p_value(0, 0) == 1.0


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=1, max_size=50))
def test_class_counts_equal_a_counter(rows):
    flips, labels = zip(*rows, strict=True)
    counter = Counter(label for flip, label in rows if flip)
    assert class_counts(torch.tensor(flips), torch.tensor(labels), 7).tolist() == [counter[c] for c in range(7)]


@given(counts)
def test_class_entropy_equals_scipy(values):
    expected = entropy(values) if sum(values) else 0.0
    assert class_entropy(torch.tensor(values)).item() == pytest.approx(expected, abs=1e-12)


def test_class_entropy_lies_between_one_class_and_all():
    assert class_entropy(torch.tensor([0, 9, 0])).item() == 0.0
    assert class_entropy(torch.tensor([3, 3, 3])).item() == pytest.approx(math.log(3))


@given(counts, st.sampled_from([1, 2, 5, 20, 50, 99, 100]))
def test_top_classes_equal_a_greedy_loop(values, percent):
    chosen, held = set(), 0
    for label in sorted(range(len(values)), key=lambda c: (-values[c], c)):
        if 100 * held >= percent * sum(values):
            break
        chosen.add(label)
        held += values[label]
    mask_C = top_classes(torch.tensor(values), percent)
    assert set(mask_C.nonzero().flatten().tolist()) == chosen


@given(counts)
def test_top_classes_are_nested(values):
    masks = [top_classes(torch.tensor(values), percent) for percent in (2, 5, 20, 50, 100)]
    for smaller, larger in pairwise(masks):
        assert not (smaller & ~larger).any()
    assert torch.equal(masks[-1], torch.tensor(values) > 0)


def test_interval_of_a_mean() -> None:
    values = [1.5, -4.0, 0.4]
    expected = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    assert mean_interval(values) == pytest.approx(expected)
    assert mean_interval([1.0]) == (-np.inf, np.inf)
