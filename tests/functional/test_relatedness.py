"""Relatedness equals loops over pairs of classes; permuted classes say what chance does."""

import itertools
from statistics import fmean

import numpy as np
import pytest
import torch
from torch import Tensor

from ktlight.functional.relatedness import (
    confusion_similarity,
    cosine_similarity,
    greatest_similarity,
    mean_similarity,
    pair_weights,
    permuted_means,
    scale_of,
)

CLASSES, PAIRS = 7, 12


@pytest.fixture
def similarity() -> Tensor:
    rows = torch.randn(CLASSES, 5, generator=torch.Generator().manual_seed(0))
    return cosine_similarity(rows)


@pytest.fixture
def chosen() -> Tensor:
    sets = torch.rand(PAIRS, CLASSES, generator=torch.Generator().manual_seed(1)) < 0.4
    sets[0], sets[1] = False, torch.arange(CLASSES) == 3  # no pair of classes in either
    return sets


def test_cosines_do_not_depend_on_what_all_rows_share() -> None:
    rows = torch.randn(CLASSES, 5, dtype=torch.float64)
    shifted = cosine_similarity(rows + torch.randn(5, dtype=torch.float64))
    torch.testing.assert_close(shifted, cosine_similarity(rows))
    assert float(cosine_similarity(rows, centred=False)[0, 1]) == pytest.approx(
        float(rows[0] @ rows[1] / (rows[0].norm() * rows[1].norm())), abs=1e-6
    )


def test_confusions_overlap() -> None:
    mean = torch.tensor([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0], [torch.nan] * 3])
    overlap = confusion_similarity(mean)
    torch.testing.assert_close(overlap[:3, :3], torch.tensor([[1.0, 1, 0], [1, 1, 0], [0, 0, 1]]))
    assert overlap[3].isnan().all()
    assert scale_of(overlap) == pytest.approx((1 / 3, (2 / 9) ** 0.5))


def test_means_and_maxima_equal_a_loop(similarity: Tensor, chosen: Tensor) -> None:
    means, greatest = mean_similarity(similarity, chosen), greatest_similarity(similarity, chosen)
    for number, mask in enumerate(chosen):
        classes = mask.nonzero()[:, 0].tolist()
        values = [float(similarity[a, b]) for a, b in itertools.combinations(classes, 2)]
        if values:
            assert float(means[number]) == pytest.approx(fmean(values), abs=1e-6)
            assert float(greatest[number]) == pytest.approx(max(values))
        else:
            assert means[number].isnan() and greatest[number].isnan()
    weights = pair_weights(chosen) / int((chosen.sum(1) > 1).sum())
    assert float((weights * similarity).sum()) == pytest.approx(float(means.nanmean()), abs=1e-6)


def test_permuted_classes_keep_how_sets_overlap(similarity: Tensor, chosen: Tensor) -> None:
    weights = pair_weights(chosen) / int((chosen.sum(1) > 1).sum())
    drawn = permuted_means(similarity, [weights, 2 * weights], 3, seed=4)
    random = np.random.default_rng(4)
    for row in drawn:
        order = random.permutation(CLASSES)
        expected = mean_similarity(similarity[order][:, order], chosen).nanmean()
        assert row.tolist() == pytest.approx([float(expected), 2 * float(expected)], abs=1e-6)


def test_permutations_are_centred_on_the_mean_of_all_classes(similarity: Tensor, chosen: Tensor) -> None:
    weights = pair_weights(chosen) / int((chosen.sum(1) > 1).sum())
    drawn = permuted_means(similarity, [weights], 2000, seed=0)
    assert float(drawn.mean()) == pytest.approx(scale_of(similarity).mean, abs=4 * float(drawn.std()) / 2000**0.5)
