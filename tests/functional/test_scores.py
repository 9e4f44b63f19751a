"""Scores before training, against loops over samples and classes, and against autograd."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import cross_entropy

from ktlight.functional.losses import kl_divergence
from ktlight.functional.scores import capa, first_order_agreement, label_residual, leep, target_headroom

seeds = st.integers(0, 10_000)


def random_logits(seed: int, samples: int = 7, classes: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    first, second = (3 * torch.randn(samples, classes, generator=generator) for _ in range(2))
    return first, second, torch.randint(0, classes, (samples,), generator=generator)


@given(seeds)
def test_capa_equals_a_loop(seed: int) -> None:
    first, second, labels = random_logits(seed)
    one, two = first.double().softmax(1).tolist(), second.double().softmax(1).tolist()
    samples, classes = len(one), len(one[0])
    observed = sum(one[n][c] * two[n][c] for n in range(samples) for c in range(classes)) / samples
    b1, b2 = (sum(p[n][labels[n]] for n in range(samples)) / samples for p in (one, two))
    expected = b1 * b2 + sum((1 - b1) / (classes - 1) * (1 - b2) / (classes - 1) for _ in range(classes - 1))
    assert capa(first, second, labels) == pytest.approx((observed - expected) / (1 - expected))


def test_capa_by_hand() -> None:
    # two sure models of two classes, right together once and once each alone: they agree on one sample of three
    sure = 100.0
    first = torch.tensor([[sure, 0.0], [sure, 0.0], [0.0, sure]])
    second = torch.tensor([[sure, 0.0], [0.0, sure], [sure, 0.0]])
    labels = torch.tensor([0, 0, 0])
    # b1 = b2 = 2/3: expected 4/9 + 1/9 = 5/9, observed 1/3
    assert capa(first, second, labels) == pytest.approx((1 / 3 - 5 / 9) / (4 / 9))
    assert capa(first, first, labels) == pytest.approx(1)


@given(seeds)
def test_headroom_equals_a_loop(seed: int) -> None:
    target, student, labels = random_logits(seed)
    sources = torch.randint(-1, 2, (len(labels),), generator=torch.Generator().manual_seed(seed))
    acc = likelihood = 0.0
    for sample, label in enumerate(labels.tolist()):
        reached = (target if sources[sample] >= 0 else student)[sample].tolist()
        own = student[sample].tolist()
        acc += (max(range(4), key=reached.__getitem__) == label) - (max(range(4), key=own.__getitem__) == label)
        for sign, logits in ((1, reached), (-1, own)):
            likelihood += sign * (logits[label] - math.log(sum(map(math.exp, logits))))
    expected = (100 * acc / len(labels), likelihood / len(labels))
    assert target_headroom(target, sources, student, labels) == pytest.approx(expected, abs=1e-5)


def test_no_target_is_no_headroom() -> None:
    target, student, labels = random_logits(0)
    assert target_headroom(target, torch.full((7,), -1), student, labels) == (0, 0)


@given(seeds)
def test_first_order_agreement_equals_the_slope_of_the_held_out_loss(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    features, held_features = torch.randn(6, 3, generator=generator), torch.randn(5, 3, generator=generator)
    _, target, _ = random_logits(seed, 6)
    _, _, labels = random_logits(seed + 1, 5)
    layer = torch.nn.Linear(3, 4).double()
    features, held_features, target = features.double(), held_features.double(), target.double()
    parameters = tuple(layer.parameters())
    train = torch.autograd.grad(kl_divergence(layer(features), target), parameters)
    held = torch.autograd.grad(cross_entropy(layer(held_features), labels), parameters)
    expected = sum(float((a * b).sum()) for a, b in zip(train, held, strict=True))
    with torch.no_grad():
        pull = (layer(features).softmax(1) - target.softmax(1)) / 6
        residual = label_residual(layer(held_features), labels)
        found = first_order_agreement(pull, features, residual, held_features)
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)
        step, start = 1e-6, float(cross_entropy(layer(held_features), labels))
        for parameter, gradient in zip(parameters, train, strict=True):
            parameter -= step * gradient
        assert (start - float(cross_entropy(layer(held_features), labels))) / step == pytest.approx(found, abs=1e-4)


@given(seeds)
def test_leep_equals_a_loop(seed: int) -> None:
    logits, _, labels = random_logits(seed)
    theta = logits.double().softmax(1).tolist()
    samples, classes = range(7), range(4)
    joint = [[sum(theta[n][z] for n in samples if labels[n] == y) / 7 for z in classes] for y in classes]
    total = 0.0
    for n in samples:
        given_z = [joint[labels[n]][z] / sum(joint[y][z] for y in classes) for z in classes]
        total += math.log(sum(given_z[z] * theta[n][z] for z in classes))
    assert leep(logits, labels) == pytest.approx(total / 7)
