import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import beta, betabinom

from ktlight.functional.expertise import class_expertise

from .examples import random_classes


def case(seed, samples, classes):
    right_N = torch.rand(samples, generator=torch.Generator().manual_seed(seed)) < 0.6
    return right_N, random_classes(seed + 1, samples, classes)


def moments(right, kinds, classes):
    """Overall accuracy and correlation within classes, in plain Python."""
    samples, overall = len(right), (sum(right) + 1) / (len(right) + 2)
    counts = [kinds.count(kind) for kind in range(classes)]
    spread, chance, pairs = 0.0, 0.0, 0.0
    for kind, count in enumerate(counts):
        if count:
            own = sum(yes for yes, other in zip(right, kinds, strict=True) if other == kind) / count
            spread += count * (own - sum(right) / samples) ** 2 / (overall * (1 - overall))
            chance += 1 - count / samples
            pairs += (1 - count / samples) * (count - 1)
    return overall, min(0.5, max(0.0, (spread - chance) / max(pairs, 1))) if pairs > 0 else 0.0


@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(1, 6))
def test_expertise_is_the_posterior_mean_under_a_beta_prior(seed, samples, classes):
    right_N, classes_N = case(seed, samples, classes)
    expertise_C, rho = class_expertise(right_N, classes_N, classes)
    overall, expected = moments(right_N.tolist(), classes_N.tolist(), classes)
    assert rho.item() == pytest.approx(expected, abs=1e-12)
    for kind, found in enumerate(expertise_C.tolist()):
        own = right_N[classes_N == kind].tolist()
        images = 1 / expected - 1 if expected > 1e-9 else 1e12
        a, b = images * overall + sum(own), images * (1 - overall) + len(own) - sum(own)
        assert found == pytest.approx(a / (a + b), abs=1e-9)
        assert 0 < found < 1


def test_the_posterior_mean_by_integration():
    right_N, classes_N = torch.tensor([1, 1, 1, 0, 0, 0, 0, 1]) == 1, torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    expertise_C, rho = class_expertise(right_N, classes_N, 2)
    assert 0 < rho < 0.5
    images = 1 / rho.item() - 1

    def joint(p):
        return beta.pdf(p, images / 2, images / 2) * math.comb(4, 3) * p**3 * (1 - p)

    expected = quad(lambda p: p * joint(p), 0, 1)[0] / quad(joint, 0, 1)[0]
    assert expertise_C[0].item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("images", [5.0, 40.0])
def test_many_classes_give_back_the_width_that_drew_them(images):
    classes, each = 20_000, 20
    right = betabinom.rvs(each, 0.6 * images, 0.4 * images, size=classes, random_state=0)
    right_N = torch.cat([torch.arange(each) < count for count in right.tolist()])
    _, rho = class_expertise(right_N, torch.arange(classes).repeat_interleave(each), classes)
    assert rho.item() == pytest.approx(1 / (images + 1), rel=0.1)


def test_classes_that_differ_by_chance_alone_are_one():
    right_N, classes_N = case(0, 4000, 1)
    expertise_C, rho = class_expertise(right_N, torch.arange(4000) % 200, 200)
    assert rho < 0.02 and expertise_C.std() < 0.02
    expertise_C, _ = class_expertise(right_N[:1], classes_N[:1], 3)
    torch.testing.assert_close(expertise_C, torch.full((3,), expertise_C[0].item(), dtype=torch.float64))


@given(st.integers(0, 10**6))
def test_one_more_right_answer_never_lowers_the_rank_of_its_class(seed):
    right_N, classes_N = case(seed, 80, 4)
    better_N = right_N.clone()
    better_N[classes_N == 0] = True
    (before_C, _), (after_C, _) = (class_expertise(each_N, classes_N, 4) for each_N in (right_N, better_N))
    assert ((after_C[0] >= after_C) | (before_C[0] < before_C)).all()


def test_nothing_waits_for_the_device():
    class_expertise(torch.empty(6, device="meta") > 0, torch.empty(6, dtype=torch.int64, device="meta"), 3)
