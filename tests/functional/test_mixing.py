import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ktlight.functional.confidence import log_confidence
from ktlight.functional.mixing import mixed_target, soft_weights, weights_by_loss
from ktlight.functional.routing import most_confident, select_target

from .examples import confidences, random_classes, random_logits, softmax


def soft_target(logits_MBC, temperature, labels_B=None):
    return mixed_target(logits_MBC, soft_weights(log_confidence(logits_MBC, labels_B), temperature))


@pytest.mark.parametrize("supervised", [True, False])
@given(seed=st.integers(0, 10**6), sources=st.integers(1, 4), classes=st.integers(2, 8), temperature=st.floats(0.1, 20))
def test_soft_target_equals_a_loop(supervised, seed, sources, classes, temperature):
    logits_MBC = random_logits(seed, sources, 5, classes)
    labels_B = random_classes(seed, 5, classes) if supervised else None
    table = confidences(logits_MBC, labels_B)
    target_BC = soft_target(logits_MBC, temperature, labels_B)
    for sample in range(5):
        powers = [row[sample] ** (1 / temperature) for row in table]
        for kind in range(classes):
            parts = [power / sum(powers) * softmax(logits_MBC[source, sample].tolist())[kind]
                     for source, power in enumerate(powers)]  # fmt: skip
            assert target_BC[sample, kind].item() == pytest.approx(math.log(math.fsum(parts)), abs=1e-8)


@given(seed=st.integers(0, 10**6), temperature=st.floats(1e-30, 1e30))
def test_targets_are_finite_log_probabilities(seed, temperature):
    logits_MBC = random_logits(seed, 3, 5, 4, scale=300.0, dtype=torch.float32)
    target_BC = soft_target(logits_MBC, temperature, random_classes(seed, 5, 4))
    assert target_BC.isfinite().all()
    torch.testing.assert_close(target_BC.logsumexp(-1), torch.zeros(5))


@pytest.mark.parametrize("supervised", [True, False])
@pytest.mark.parametrize("scale", [1.0, 20.0])  # at 20, most probabilities of the label round to 0 or 1 in float32
def test_cold_weights_choose_the_most_confident(supervised, scale):
    logits_MBC = random_logits(0, 4, 50, 5, scale=scale, dtype=torch.float32)
    labels_B = random_classes(0, 50, 5) if supervised else None
    chosen_BC = select_target(logits_MBC, most_confident(logits_MBC, labels_B))
    torch.testing.assert_close(soft_target(logits_MBC, 1e-30, labels_B), chosen_BC.log_softmax(-1))


def test_hot_weights_are_the_mean_of_the_probabilities():
    logits_MBC = random_logits(1, 4, 50, 5)
    target_BC = soft_target(logits_MBC, 1e12, random_classes(1, 50, 5))
    torch.testing.assert_close(target_BC.exp(), logits_MBC.softmax(-1).mean(0), rtol=1e-9, atol=0)


def test_labels_at_temperature_one_give_the_posterior_of_the_source():
    logits_MBC, labels_B = random_logits(2, 3, 6, 4), random_classes(2, 6, 4)
    chances_MB = torch.tensor(confidences(logits_MBC, labels_B), dtype=torch.float64)
    torch.testing.assert_close(
        soft_weights(log_confidence(logits_MBC, labels_B), 1.0).exp(), chances_MB / chances_MB.sum(0)
    )


@given(seed=st.integers(0, 10**6), shift=st.floats(-100, 100))
def test_order_of_sources_and_shifts_do_not_matter(seed, shift):
    logits_MBC, labels_B = random_logits(seed, 4, 5, 3), random_classes(seed, 5, 3)
    expected = soft_target(logits_MBC, 0.5, labels_B)
    torch.testing.assert_close(soft_target(logits_MBC[[2, 0, 3, 1]] + shift, 0.5, labels_B), expected)


def test_alike_sources_give_their_own_prediction():
    logits_BC = random_logits(3, 5, 4)
    target_BC = soft_target(logits_BC.expand(3, -1, -1), 1.0, random_classes(3, 5, 4))
    torch.testing.assert_close(target_BC, logits_BC.log_softmax(-1))


def test_gradients():
    logits_MBC = random_logits(4, 2, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: soft_target(z, 0.7, torch.tensor([0, 3, 1])), logits_MBC)


@given(seed=st.integers(0, 10**6), sources=st.integers(2, 5), scale=st.floats(0.1, 10))
def test_weights_by_loss_equal_a_loop(seed, sources, scale):
    losses_MB = random_logits(seed, sources, 6, scale=scale).abs()
    weights_MB = weights_by_loss(losses_MB).exp()
    for sample, column in enumerate(losses_MB.T.tolist()):
        expected = [(1 - share) / (sources - 1) for share in softmax(column)]
        assert weights_MB[:, sample].tolist() == pytest.approx(expected, abs=1e-12)


@given(seed=st.integers(0, 10**6), sources=st.integers(1, 5), scale=st.sampled_from([1e-6, 1.0, 1e4]))
def test_weights_by_loss_are_finite_and_sum_to_one(seed, sources, scale):
    losses_MB = random_logits(seed, sources, 6, scale=scale, dtype=torch.float32).abs()
    log_weights_MB = weights_by_loss(losses_MB)
    assert log_weights_MB.isfinite().all()
    torch.testing.assert_close(log_weights_MB.exp().sum(0), torch.ones(6))
    assert (log_weights_MB.exp() <= 1 / max(1, sources - 1) + 1e-6).all()
    if scale == 1:  # else they round to one value
        assert (losses_MB.argmin(0) == log_weights_MB.argmax(0)).all()


def test_equal_losses_weigh_the_same_and_one_source_has_all_the_weight():
    torch.testing.assert_close(weights_by_loss(torch.full((3, 2), 5.0)).exp(), torch.full((3, 2), 1 / 3))
    assert torch.equal(weights_by_loss(random_logits(0, 1, 4)), torch.zeros(1, 4, dtype=torch.float64))


def test_gradients_of_weights_by_loss():
    assert torch.autograd.gradcheck(weights_by_loss, random_logits(5, 3, 4).requires_grad_())
