"""Figures of all pairs equal slow loops over models and samples."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ktlight.functional import pairwise
from ktlight.functional.flips import prediction_flips
from ktlight.functional.pairwise import (
    count_agreements,
    count_confident_right,
    count_mean_right,
    count_pairs,
    error_consistency,
    greedy_coverage,
    resampled_flips,
    total_variation,
)
from ktlight.functional.statistics import paired_interval, paired_intervals, share_intervals
from ktlight.report.results import more_confident

MODELS, SAMPLES, CLASSES = 5, 83, 4


def random_answers(seed: int) -> tuple[Tensor, Tensor]:
    """Return predictions ``[M, N]`` of models of different strength, and labels."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(CLASSES, (SAMPLES,), generator=generator)
    guesses = torch.randint(CLASSES, (MODELS, SAMPLES), generator=generator)
    known = torch.rand(MODELS, SAMPLES, generator=generator) < torch.linspace(0, 1, MODELS)[:, None]
    return torch.where(known, labels, guesses), labels


@pytest.fixture(params=range(3))
def answers(request: pytest.FixtureRequest) -> tuple[Tensor, Tensor]:
    return random_answers(request.param)


def test_flips_equal_those_of_every_pair(answers: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    predictions, labels = answers
    monkeypatch.setattr(pairwise, "EXACT", 10)  # several blocks
    pairs = count_pairs(predictions == labels)
    for teacher in range(MODELS):
        for student in range(MODELS):
            positive, negative, _ = prediction_flips(predictions[student], predictions[teacher], labels)
            either = (predictions[student] == labels) | (predictions[teacher] == labels)
            assert int(pairs.positive[teacher, student]) == int(positive.sum())
            assert int(pairs.negative[teacher, student]) == int(negative.sum())
            assert int(pairs.either[teacher, student]) == int(either.sum())


@settings(max_examples=50)
@given(st.integers(1, 6), st.integers(1, 40), st.integers(0, 2**31))
def test_accuracies_differ_by_positive_minus_negative_flips(models: int, samples: int, seed: int) -> None:
    right = torch.rand(models, samples, generator=torch.Generator().manual_seed(seed)) < 0.5
    pairs = count_pairs(right)
    difference = pairs.right[:, None] - pairs.right
    assert torch.equal(difference, pairs.positive - pairs.negative)
    assert torch.equal(pairs.both + pairs.positive, pairs.right[:, None].expand(models, models))
    assert not pairs.positive.diagonal().any() and bool((pairs.positive >= difference.clamp_min(0)).all())


def test_error_consistency_is_cohens_kappa(answers: tuple[Tensor, Tensor]) -> None:
    from sklearn.metrics import cohen_kappa_score

    predictions, labels = answers
    right = predictions == labels
    kappa = error_consistency(count_pairs(right))
    for first in range(MODELS):
        for second in range(MODELS):
            if right[[first, second]].all():
                assert math.isnan(kappa[first, second])
                continue
            expected = cohen_kappa_score(right[first].int(), right[second].int())
            assert float(kappa[first, second]) == pytest.approx(expected, abs=1e-12)


def test_pair_ensembles_equal_those_of_a_run(answers: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    predictions, labels = answers
    monkeypatch.setattr(pairwise, "IN_CACHE", 10)
    confidence = torch.randint(3, (MODELS, SAMPLES)).float()  # with ties
    probability = torch.rand(MODELS, SAMPLES, CLASSES).softmax(2)
    confident = count_confident_right(predictions == labels, confidence)
    mean = count_mean_right(list(probability), labels)
    agreements = count_agreements(predictions.to(torch.int16))
    for first in range(MODELS):
        for second in range(first, MODELS):
            both = [first, second]
            chosen = more_confident(predictions[both], confidence[both])
            averaged = probability[both].mean(0).argmax(1)
            same = predictions[first] == predictions[second]
            for figure, expected in (
                (confident, chosen == labels), (mean, averaged == labels), (agreements, same),
            ):  # fmt: skip
                assert int(figure[first, second]) == int(figure[second, first]) == int(expected.sum())


def test_total_variation_counts_what_would_have_to_change(answers: tuple[Tensor, Tensor]) -> None:
    predictions, _ = answers
    drift = total_variation(predictions, CLASSES)
    for first in range(MODELS):
        for second in range(MODELS):
            missing = sum(
                max(0, int((predictions[first] == c).sum()) - int((predictions[second] == c).sum()))
                for c in range(CLASSES)
            )
            assert float(drift[first, second]) == pytest.approx(100 * missing / SAMPLES)


def test_greedy_coverage_takes_the_best_addition_each_time(answers: tuple[Tensor, Tensor]) -> None:
    right = answers[0] == answers[1]
    chosen = greedy_coverage(right, MODELS)
    known: set[int] = set()
    for model, covered in zip(*chosen, strict=True):
        gains = [len(known | set(row.nonzero().flatten().tolist())) for row in right]
        assert gains[model] == max(gains) > len(known)
        known |= set(right[model].nonzero().flatten().tolist())
        assert covered == len(known)
    assert len(known) == int(right.any(0).sum())


def test_coverage_ends_where_nothing_is_added() -> None:
    right = torch.tensor([[True, False, True], [True, False, False]])
    assert greedy_coverage(right, 2) == ([0], [2])


@given(st.integers(1, 500), st.data())
def test_wilsons_interval_solves_its_equation(total: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, total))
    low, high = (float(bound) / 100 for bound in share_intervals(torch.tensor(count), total))
    from scipy.stats import binomtest

    expected = binomtest(count, total).proportion_ci(0.95, method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_paired_intervals_are_those_of_each_pair() -> None:
    pairs = count_pairs(torch.rand(4, 50, generator=torch.Generator().manual_seed(0)) < 0.6)
    low, high = paired_intervals(pairs.positive, pairs.negative, 50)
    for teacher in range(4):
        for student in range(4):
            single = paired_interval(int(pairs.positive[teacher, student]), int(pairs.negative[teacher, student]), 50)
            assert (float(low[teacher, student]), float(high[teacher, student])) == pytest.approx(single)


def test_resampled_intervals_agree_with_the_closed_form() -> None:
    right = torch.rand(3, 2000, generator=torch.Generator().manual_seed(0)) < torch.tensor([[0.5], [0.7], [0.9]])
    counts = count_pairs(right).positive
    drawn, closed = resampled_flips(right, 400, seed=0), share_intervals(counts, 2000)
    off_diagonal = ~torch.eye(3, dtype=torch.bool)
    for mine, formula in zip(drawn, closed, strict=True):
        np.testing.assert_allclose(mine[off_diagonal], formula[off_diagonal], atol=0.4)
    assert all(
        torch.equal(*both) for both in zip(resampled_flips(right, 5, 1), resampled_flips(right, 5, 1), strict=True)
    )
