from math import exp

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from ktlight.functional.calibration import fit_temperature

from .examples import random_logits


def labelled(seed, samples, classes, honest=1.0):
    """Return logits, and labels drawn from their softmax at a temperature."""
    logits_NC = random_logits(seed, samples, classes)
    generator = torch.Generator().manual_seed(seed + 1)
    return logits_NC, (logits_NC / honest).softmax(-1).multinomial(1, generator=generator)[:, 0]


def best_temperature(logits_NC, labels_N):
    """Minimise the cross entropy with the smoothed labels by scipy, in the logarithm of T."""
    samples, classes = logits_NC.shape
    wanted = (samples * torch.nn.functional.one_hot(labels_N, classes) + 1 / classes).numpy() / (samples + 1)

    def cross_entropy(log_t):
        return -(wanted * log_softmax(logits_NC.numpy() / exp(log_t), axis=1)).sum() / samples

    found = minimize_scalar(cross_entropy, bounds=(-4.6, 4.6), method="bounded", options={"xatol": 1e-9})
    return exp(found.x)


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(5, 40), st.integers(2, 6), st.floats(0.3, 3))
def test_temperature_equals_scipy(seed, samples, classes, honest):
    logits_NC, labels_N = labelled(seed, samples, classes, honest)
    expected = best_temperature(logits_NC, labels_N)
    found = fit_temperature(logits_NC, labels_N).item()
    assert min(found, 90) == pytest.approx(min(expected, 90), rel=1e-5)


def test_many_samples_give_back_the_temperature_that_drew_them():
    logits_NC, labels_N = labelled(0, 20_000, 5, honest=2.5)
    assert fit_temperature(logits_NC, labels_N).item() == pytest.approx(2.5, rel=0.05)


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.floats(0.2, 5))
def test_scaled_logits_have_a_scaled_temperature(seed, factor):
    logits_NC, labels_N = labelled(seed, 60, 4)
    expected = factor * fit_temperature(logits_NC, labels_N).item()
    assert fit_temperature(factor * logits_NC, labels_N).item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("samples", [10, 100])
def test_a_model_that_is_always_right_claims_no_more_than_it_has_shown(samples):
    labels_N = torch.arange(samples) % 2
    logits_NC = 50.0 * torch.nn.functional.one_hot(labels_N, 2)
    temperature = fit_temperature(logits_NC, labels_N)
    claimed = (logits_NC / temperature).softmax(-1).amax(-1)
    assert claimed.mean().item() == pytest.approx((samples + 0.5) / (samples + 1))


def test_a_model_worse_than_chance_is_not_believed():
    logits_NC, labels_N = labelled(1, 200, 3)
    assert fit_temperature(-logits_NC, labels_N).item() == pytest.approx(100)


@given(st.integers(0, 10**6), st.floats(-100, 100))
def test_shifted_logits_have_the_same_temperature(seed, shift):
    logits_NC, labels_N = labelled(seed, 30, 4)
    expected = fit_temperature(logits_NC, labels_N)
    torch.testing.assert_close(fit_temperature(logits_NC + shift, labels_N), expected)


def test_nothing_waits_for_the_device():
    fit_temperature(torch.empty(6, 3, device="meta"), torch.empty(6, dtype=torch.int64, device="meta"))


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.sampled_from([torch.float32, torch.float64]), st.floats(0.1, 30))
def test_calibration_changes_no_prediction(seed, dtype, scale):
    logits_NC, labels_N = labelled(seed, 40, 5)
    logits_NC = (scale * logits_NC).to(dtype)
    calibrated_NC = logits_NC / fit_temperature(logits_NC, labels_N).to(dtype)
    assert torch.equal(calibrated_NC.argmax(1), logits_NC.argmax(1))
