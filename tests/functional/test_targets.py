import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import logsumexp
from scipy.special import softmax as scipy_softmax
from torch.nn.functional import cross_entropy, one_hot

from ktlight.functional.pooling import convex_pool_weights
from ktlight.functional.routing import most_confident, select_target
from ktlight.functional.targets import (
    general_target,
    general_weights,
    linear_target,
    minlogit_target,
    naive_target,
    residual_correlation,
)

from .examples import random_classes, random_logits, softmax

RULES = [naive_target, linear_target, minlogit_target]


def trained_logits(seed, networks, samples, classes, scale=2.0):
    """Logits of networks that know something of the labels, each more or less."""
    labels_B = random_classes(seed, samples, classes)
    skill_N = 3 * scale * torch.rand(networks, 1, 1, generator=torch.Generator().manual_seed(seed))
    noise_NBC = random_logits(seed, networks, samples, classes, scale=scale)
    return noise_NBC + skill_N * one_hot(labels_B, classes), labels_B


def mean_cross_entropy(weights, logits, labels):
    combined = np.tensordot(weights, logits, 1)
    return (logsumexp(combined, axis=1) - combined[np.arange(len(labels)), labels]).mean()


def least_cross_entropy(logits, labels):
    """What a general-purpose convex solver reaches, started from the middle and near each corner."""
    networks = len(logits)
    starts = [np.full(networks, 1 / networks), *(0.9 * np.eye(networks) + 0.1 / networks)]
    results = [
        minimize(
            mean_cross_entropy,
            start,
            args=(logits, labels),
            method="SLSQP",
            bounds=[(0, 1)] * networks,
            constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1},
            options={"ftol": 1e-12, "maxiter": 300},
        )
        for start in starts
    ]
    return min(result.fun for result in results)


def test_naive_target_equals_a_loop():
    logits_NBC, labels_B = trained_logits(0, 3, 20, 6)
    target_BC = naive_target(logits_NBC, labels_B)
    for sample, label in enumerate(labels_B.tolist()):
        losses = [-np.log(softmax(network[sample].tolist())[label]) for network in logits_NBC]
        assert torch.equal(target_BC[sample], logits_NBC[int(np.argmin(losses)), sample])


def test_naive_target_is_the_supervised_router():
    logits_NBC, labels_B = trained_logits(1, 4, 20, 6)
    routed_BC = select_target(logits_NBC, most_confident(logits_NBC, labels_B))
    assert torch.equal(naive_target(logits_NBC, labels_B), routed_BC)


@pytest.mark.parametrize("scale", [0.1, 2.0, 30.0])
@pytest.mark.parametrize("networks", [2, 3, 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_linear_weights_reach_what_a_convex_solver_reaches(networks, scale, dtype):
    logits_NBC, labels_B = trained_logits(networks, networks, 32, 10, scale)
    weights_N = convex_pool_weights(logits_NBC.to(dtype), labels_B)
    assert (weights_N > 0).all() and weights_N.sum().item() == pytest.approx(1, abs=1e-6)
    reached = mean_cross_entropy(weights_N.double().numpy(), logits_NBC.numpy(), labels_B.numpy())
    best = least_cross_entropy(logits_NBC.numpy(), labels_B.numpy())
    assert reached == pytest.approx(best, abs=2e-5)


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(2, 4), st.integers(1, 20), st.floats(0.05, 60))
def test_no_random_combination_beats_the_convex_pool_weights(seed, networks, samples, scale):
    logits_NBC, labels_B = trained_logits(seed, networks, samples, 5, scale)
    weights_N = convex_pool_weights(logits_NBC, labels_B)
    reached = mean_cross_entropy(weights_N.numpy(), logits_NBC.numpy(), labels_B.numpy())
    others = np.concatenate([np.eye(networks), np.random.default_rng(seed).dirichlet(np.ones(networks), 50)])
    for other in others:
        assert reached <= mean_cross_entropy(other, logits_NBC.numpy(), labels_B.numpy()) + 2e-5


def test_linear_weights_of_special_cases():
    logits_NBC, labels_B = trained_logits(2, 2, 16, 5)
    assert convex_pool_weights(logits_NBC[:1], labels_B).tolist() == [1.0]
    twice_NBC = logits_NBC[:1].expand(2, -1, -1)
    assert convex_pool_weights(twice_NBC, labels_B).tolist() == pytest.approx([0.5, 0.5])
    perfect_BC = 8.0 * one_hot(labels_B, 5)
    hostile_NBC = torch.stack([-perfect_BC, perfect_BC])
    assert convex_pool_weights(hostile_NBC, labels_B).tolist() == pytest.approx([0, 1], abs=1e-3)


def test_linear_target_is_the_weighted_sum_in_full_precision():
    logits_NBC, labels_B = trained_logits(3, 3, 8, 5)
    half_NBC = logits_NBC.bfloat16()
    weights = convex_pool_weights(half_NBC, labels_B).tolist()
    expected_BC = sum(weight * network for weight, network in zip(weights, half_NBC.float(), strict=True))
    torch.testing.assert_close(linear_target(half_NBC, labels_B), expected_BC)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(linear_target(half_NBC, labels_B), expected_BC)


@pytest.mark.parametrize("rule", RULES)
def test_linear_and_minlogit_and_naive_targets_beat_every_network_on_the_batch(rule):
    logits_NBC, labels_B = trained_logits(4, 3, 64, 10)
    target_loss = cross_entropy(rule(logits_NBC, labels_B), labels_B)
    assert all(target_loss <= cross_entropy(network, labels_B) + 1e-5 for network in logits_NBC)


def test_minlogit_target_equals_a_loop():
    logits_NBC, labels_B = trained_logits(5, 3, 10, 6)
    target_BC = minlogit_target(logits_NBC, labels_B)
    for sample, label in enumerate(labels_B.tolist()):
        for column in range(6):
            expected = min(float(network[sample, column] - network[sample, label]) for network in logits_NBC)
            assert target_BC[sample, column].item() == pytest.approx(expected)
        assert target_BC[sample, label] == 0


def test_residual_correlation_equals_a_double_loop():
    logits_NBC, labels_B = trained_logits(6, 3, 12, 5)
    residuals = [
        [np.array(softmax(row)) - np.eye(5)[int(label)] for row, label in zip(rows.tolist(), labels_B, strict=True)]
        for rows in logits_NBC
    ]
    expected = [[np.mean([a @ b for a, b in zip(i, j, strict=True)]) for j in residuals] for i in residuals]
    torch.testing.assert_close(residual_correlation(logits_NBC, labels_B), torch.tensor(np.array(expected)))


def test_batches_of_a_split_combine_by_their_weighted_mean():
    logits_NBC, labels_B = trained_logits(7, 3, 12, 5)
    first = residual_correlation(logits_NBC[:, :8], labels_B[:8])
    second = residual_correlation(logits_NBC[:, 8:], labels_B[8:])
    torch.testing.assert_close((8 * first + 4 * second) / 12, residual_correlation(logits_NBC, labels_B))


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-3), (torch.float64, 1e-9)])
def test_general_weights_equal_the_closed_form_and_a_solver(dtype, tolerance):
    logits_NBC, labels_B = trained_logits(8, 4, 200, 10)
    correlation_NN = residual_correlation(logits_NBC, labels_B)
    inverse = np.linalg.inv(correlation_NN.numpy())
    weights_N = general_weights(correlation_NN.to(dtype))
    np.testing.assert_allclose(weights_N.numpy(), inverse.sum(1) / inverse.sum(), atol=tolerance)
    solved = minimize(
        lambda weights: weights @ correlation_NN.numpy() @ weights,
        np.full(4, 0.25),
        method="SLSQP",
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1},
        options={"ftol": 1e-14},
    )
    np.testing.assert_allclose(weights_N.numpy(), solved.x, atol=1e-3)


@pytest.mark.parametrize(
    "correlation, expected",
    [
        ([[1.0, 1.0], [1.0, 1.0]], [0.5, 0.5]),
        ([[0.0, 0.0], [0.0, 2.0]], [1.0, 0.0]),
        ([[0.0, 0.0], [0.0, 0.0]], [0.5, 0.5]),
    ],
    ids=["equal networks", "one without error", "none with error"],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_general_weights_of_singular_correlations(correlation, expected, dtype):
    weights_N = general_weights(torch.tensor(correlation, dtype=dtype))
    assert weights_N.tolist() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_softmax_gives_the_general_target_back(temperature):
    logits_NBC = random_logits(9, 2, 6, 4)
    weights = np.array([1.6, -0.6])
    mixture = np.tensordot(weights, scipy_softmax(logits_NBC.numpy(), axis=-1), 1)
    assert (mixture < 0).any()
    clipped = np.clip(mixture, 0, None)
    target_BC = general_target(logits_NBC, torch.tensor(weights))
    assert target_BC.isfinite().all()
    expected = clipped ** (1 / temperature)
    expected /= expected.sum(1, keepdims=True)
    np.testing.assert_allclose((target_BC / temperature).softmax(-1).numpy(), expected, atol=1e-12)


def test_general_target_with_one_weight_is_that_network():
    logits_NBC = random_logits(10, 3, 5, 4)
    target_BC = general_target(logits_NBC, torch.tensor([0.0, 1.0, 0.0]).double())
    torch.testing.assert_close(target_BC, logits_NBC[1].log_softmax(-1))


@pytest.mark.parametrize("rule", RULES)
def test_targets_are_constants(rule):
    logits_NBC, labels_B = trained_logits(11, 2, 4, 3)
    assert not rule(logits_NBC.requires_grad_(), labels_B).requires_grad
    assert not general_target(logits_NBC, torch.tensor([0.5, 0.5]).double()).requires_grad
    assert not residual_correlation(logits_NBC, labels_B).requires_grad


@pytest.mark.parametrize("rule", RULES)
def test_the_order_of_the_samples_does_not_matter(rule):
    logits_NBC, labels_B = trained_logits(12, 3, 16, 5)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        rule(logits_NBC[:, order], labels_B[order]), rule(logits_NBC, labels_B)[order], rtol=1e-4, atol=1e-4
    )
