import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ktlight.functional.confidence import entropy, log_confidence, log_odds, margin, with_none_of_these

from .examples import confidences, random_classes, random_logits, softmax

CASES = {"seed": st.integers(0, 10**6), "classes": st.integers(2, 12), "scale": st.floats(0.1, 8)}


@pytest.mark.parametrize("supervised", [True, False])
def test_log_odds_equal_their_definition(supervised):
    logits_MBC = random_logits(0, 3, 6, 5)
    labels_B = random_classes(0, 6, 5) if supervised else None
    expected = torch.tensor(confidences(logits_MBC, labels_B), dtype=torch.float64).logit()
    torch.testing.assert_close(log_odds(logits_MBC, labels_B), expected)


def test_log_odds_gradient():
    logits_MBC = random_logits(1, 2, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: log_odds(z, torch.tensor([0, 3, 1])), logits_MBC)
    assert torch.autograd.gradcheck(log_odds, logits_MBC)


@pytest.mark.parametrize("supervised", [True, False])
@given(**CASES)
def test_log_confidence_is_the_logarithm_of_the_probability(supervised, seed, classes, scale):
    logits_MBC = random_logits(seed, 3, 6, classes, scale=scale)
    labels_B = random_classes(seed, 6, classes) if supervised else None
    expected = torch.tensor(confidences(logits_MBC, labels_B), dtype=torch.float64).log()
    torch.testing.assert_close(log_confidence(logits_MBC, labels_B), expected, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("supervised", [True, False])
@given(**CASES)
def test_margin_equals_a_loop(supervised, seed, classes, scale):
    logits_MBC = random_logits(seed, 3, 6, classes, scale=scale)
    labels_B = random_classes(seed, 6, classes)
    margin_MB = margin(logits_MBC, labels_B if supervised else None)
    for source, rows in enumerate(logits_MBC.tolist()):
        for sample, row in enumerate(rows):
            chances = softmax(row)
            chosen = int(labels_B[sample]) if supervised else chances.index(max(chances))
            rival = max(chance for kind, chance in enumerate(chances) if kind != chosen)
            expected = math.log(chances[chosen]) - math.log(rival)
            assert margin_MB[source, sample].item() == pytest.approx(expected, abs=1e-9)


@given(**CASES)
def test_the_margin_of_the_label_is_positive_where_the_source_is_right(seed, classes, scale):
    logits_MBC, labels_B = random_logits(seed, 3, 6, classes, scale=scale), random_classes(seed, 6, classes)
    assert torch.equal(margin(logits_MBC, labels_B) > 0, logits_MBC.argmax(-1) == labels_B)


def test_two_classes_have_one_rival():
    logits_MBC, labels_B = random_logits(0, 3, 6, 2), random_classes(0, 6, 2)
    torch.testing.assert_close(margin(logits_MBC, labels_B), log_odds(logits_MBC, labels_B))


@given(**CASES)
def test_entropy_equals_a_loop(seed, classes, scale):
    logits_MBC = random_logits(seed, 3, 6, classes, scale=scale)
    expected = [
        [-math.fsum(p * math.log(p) for p in softmax(row) if p > 0) for row in source] for source in logits_MBC.tolist()
    ]
    torch.testing.assert_close(entropy(logits_MBC), torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-12)


def test_entropy_of_an_even_prediction():
    torch.testing.assert_close(entropy(torch.zeros(1, 1, 7)), torch.tensor([[math.log(7)]]))


def test_entropy_is_precise_where_a_probability_rounds_to_one():
    rows = [[gap, 0.0, -1.0] for gap in (20.0, 30.0, 60.0)]
    expected = entropy(torch.tensor([rows], dtype=torch.float64))
    # A direct sum loses these digits in float64 too; to first order a class at -gap adds exp(-gap) * (1 + gap).
    for gap, value in zip((20.0, 30.0, 60.0), expected[0].tolist(), strict=True):
        near = math.exp(-gap) * (1 + gap) + math.exp(-gap - 1) * (2 + gap)
        assert value == pytest.approx(near, rel=1e-6)
    torch.testing.assert_close(entropy(torch.tensor([rows])).double(), expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("measure", [log_odds, margin, log_confidence, entropy])
@given(seed=st.integers(0, 10**6), shift=st.integers(-1000, 1000))
def test_shifted_logits_give_the_same_bits(measure, seed, shift):
    row_BC = random_logits(seed, 6, 5).mul(8).round() / 8  # so that the shift itself is exact
    assert torch.equal(measure(row_BC[None].float()), measure(row_BC[None].float() + shift))


@pytest.mark.parametrize("measure", [margin, log_confidence])
def test_gradients(measure):
    logits_MBC = random_logits(1, 2, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: measure(z, torch.tensor([0, 3, 1])), logits_MBC)


@pytest.mark.parametrize("measure", [log_odds, margin, log_confidence, entropy])
def test_half_precision_is_widened(measure):
    assert measure(torch.zeros(2, 3, 4, dtype=torch.bfloat16)).dtype == torch.float32


@given(seed=st.integers(0, 10**6), classes=st.integers(2, 6), scale=st.floats(0.1, 30))
def test_what_is_not_mapped_is_one_more_class(seed, classes, scale):
    logits_MBC = random_logits(seed, 2, 5, classes, scale=scale)
    mass_MB = torch.rand(2, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    whole_MBC = with_none_of_these(logits_MBC, mass_MB).softmax(-1)
    torch.testing.assert_close(whole_MBC[..., :-1], logits_MBC.softmax(-1) * mass_MB[..., None])
    torch.testing.assert_close(whole_MBC[..., -1], 1 - mass_MB)


@pytest.mark.parametrize("measure", [log_odds, margin, log_confidence, lambda z, _: -entropy(z)])
def test_all_and_nothing_mapped(measure):
    logits_MBC, labels_B = random_logits(0, 2, 50, 6, scale=20.0, dtype=torch.float32), random_classes(0, 50, 6)
    whole_MB = measure(with_none_of_these(logits_MBC, torch.ones(2, 50)), labels_B)
    torch.testing.assert_close(whole_MB, measure(logits_MBC, labels_B), rtol=1e-5, atol=1e-5)
    assert measure(with_none_of_these(logits_MBC, torch.zeros(2, 50)), labels_B).isfinite().all()


def test_each_source_can_be_asked_about_a_class_of_its_own():
    logits_MBC = random_logits(1, 3, 8, 5)
    own_MB = logits_MBC.argmax(-1)
    assert torch.equal(log_odds(logits_MBC, own_MB), log_odds(logits_MBC))
    assert torch.equal(margin(logits_MBC, own_MB), margin(logits_MBC))
