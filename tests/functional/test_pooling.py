import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import logsumexp

from ktlight.functional.calibration import fit_temperature
from ktlight.functional.pooling import pool_weights, pooled_target

from .examples import random_classes, random_logits


def trained_logits(seed, models, samples, classes, scale=2.0):
    """Logits of models that know something of the labels, each more or less."""
    labels_N = random_classes(seed, samples, classes)
    skill_M = 2 * scale * torch.rand(models, 1, 1, generator=torch.Generator().manual_seed(seed))
    noise_MNC = random_logits(seed, models, samples, classes, scale=scale)
    return noise_MNC + skill_M * torch.nn.functional.one_hot(labels_N, classes), labels_N


def smoothed_cross_entropy(logits_MNC, labels_N):
    """The objective and its gradient, as functions of the weights, in numpy."""
    z, (_, samples, classes) = logits_MNC.numpy(), logits_MNC.shape
    wanted = (samples * np.eye(classes)[labels_N] + 1 / classes) / samples

    def value(weights):
        pool = np.tensordot(weights, z, 1)
        logs = pool - logsumexp(pool, axis=1, keepdims=True)
        error = np.exp(logs) * wanted.sum(1, keepdims=True) - wanted
        return -(wanted * logs).sum() / samples, (error * z).sum((1, 2)) / samples

    return value


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(20, 60), st.integers(2, 6), st.floats(0.1, 20))
def test_weights_reach_what_scipy_reaches(seed, models, samples, classes, scale):
    logits_MNC, labels_N = trained_logits(seed, models, samples, classes, scale)
    value, start = smoothed_cross_entropy(logits_MNC, labels_N), np.full(models, 1 / scale)
    found = minimize(value, start, jac=True, bounds=[(0, None)] * models, method="L-BFGS-B", options={"ftol": 1e-14})
    weights_M = pool_weights(logits_MNC, labels_N)
    assert (weights_M > 0).all()
    assert value(weights_M.numpy())[0] <= found.fun + 1e-4


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(20, 60), st.integers(2, 6))
def test_the_pool_of_one_is_temperature_scaling(seed, samples, classes):
    logits_MNC, labels_N = trained_logits(seed, 1, samples, classes)
    assert pool_weights(logits_MNC, labels_N).item() == pytest.approx(
        1 / fit_temperature(logits_MNC[0], labels_N).item(), rel=1e-3
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.floats(-50, 50))
def test_order_copies_and_shifts_do_not_change_the_pool(seed, shift):
    logits_MNC, labels_N = trained_logits(seed, 3, 40, 4)
    expected_NC = pooled_target(logits_MNC, pool_weights(logits_MNC, labels_N))
    order = torch.tensor([2, 0, 1])
    for same_MNC in (logits_MNC[order] + shift, torch.cat([logits_MNC, logits_MNC[:1]])):
        same_NC = pooled_target(same_MNC, pool_weights(same_MNC, labels_N))
        torch.testing.assert_close(same_NC, expected_NC, rtol=0, atol=1e-3)


def test_copies_share_their_weight_and_guessing_has_none():
    logits_MNC, labels_N = trained_logits(1, 2, 400, 4)
    twins_M = pool_weights(torch.stack([logits_MNC[0]] * 2), labels_N)
    assert twins_M[0].item() == pytest.approx(twins_M[1].item())
    misled_M = pool_weights(torch.stack([logits_MNC[0], -logits_MNC[1]]), labels_N)
    assert misled_M[1].item() < 1e-3 < misled_M[0].item()


def test_models_that_are_always_right_have_finite_weights():
    labels_N = torch.arange(30) % 3
    sure_NC = 50.0 * torch.nn.functional.one_hot(labels_N, 3)
    weights_M = pool_weights(torch.stack([sure_NC, sure_NC]), labels_N)
    claimed = pooled_target(torch.stack([sure_NC, sure_NC]), weights_M).exp().amax(1).mean()
    assert claimed.item() == pytest.approx((30 + 1 / 3) / 31, abs=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_targets_are_log_probabilities_in_full_precision(dtype):
    logits_MBC = random_logits(2, 2, 7, 5, scale=300.0, dtype=dtype)
    target_BC = pooled_target(logits_MBC, torch.tensor([0.3, 0.9], dtype=torch.float64))
    assert target_BC.dtype == torch.float32 and target_BC.isfinite().all()
    z = logits_MBC.double().numpy()
    pool = 0.3 * z[0] + 0.9 * z[1]
    torch.testing.assert_close(
        target_BC.double(), torch.from_numpy(pool - logsumexp(pool, axis=1, keepdims=True)), rtol=1e-4, atol=1e-3
    )


def test_nothing_waits_for_the_device():
    pool_weights(torch.empty(2, 6, 3, device="meta"), torch.empty(6, dtype=torch.int64, device="meta"))
