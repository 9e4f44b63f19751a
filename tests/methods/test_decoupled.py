"""dkd: its loss from a loop over the formula, and the weight of its soft term epoch by epoch."""

import math
from typing import Any

import pytest
import tiny
import torch

from ktlight.methods.decoupled import DKD
from ktlight.models.sources import LiveSource
from ktlight.routing.fixed import Fixed
from ktlight.routing.router import SampleRouter
from tests.methods.routed import COUNT, label_loss, loss_of, routed_batch, student_logits


def dkd(**options: Any) -> DKD:
    defaults = {"alpha": 1.0, "beta": 0.5, "temperature": 1.0, "label_weight": 1.0, "warmup_epochs": 1}
    return DKD([tiny.classifier(0)], tiny.optimization(), name="dkd", **{**defaults, **options})


@pytest.mark.parametrize("left_out", [(), (1, 4)])
@pytest.mark.parametrize(("alpha", "beta", "temperature", "label_weight"), [(1.0, 0.5, 1.0, 1.0), (1.0, 8.0, 4.0, 0.3)])
def test_the_loss_equals_a_loop_over_samples(
    alpha: float, beta: float, temperature: float, label_weight: float, left_out: tuple[int, ...]
) -> None:
    batch, logits_BC = routed_batch(left_out), student_logits()
    taught = [row for row in range(COUNT) if row not in left_out]
    expected = label_weight * label_loss(logits_BC, batch["label"], taught)
    for row in taught:
        y = int(batch["label"][row])
        p = (batch["target"][row].double() / temperature).softmax(0).tolist()
        q = (logits_BC[row].double() / temperature).softmax(0).tolist()
        binary = p[y] * math.log(p[y] / q[y]) + (1 - p[y]) * math.log((1 - p[y]) / (1 - q[y]))
        shares = [(p[c] / (1 - p[y]), q[c] / (1 - q[y])) for c in range(tiny.CLASSES) if c != y]
        others = sum(a * math.log(a / b) for a, b in shares)
        expected += temperature**2 * (alpha * binary + beta * others) / COUNT
    loss, _ = loss_of(dkd(alpha=alpha, beta=beta, temperature=temperature, label_weight=label_weight), batch)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


class Warming(DKD):
    """Keeps the weight of the soft term at every step."""

    def terms(self, *arguments: Any) -> Any:
        self.weights = [*getattr(self, "weights", []), float(self.warmth)]
        return super().terms(*arguments)


def train(method: DKD, **options: Any) -> None:
    """Train with a fixed teacher."""
    rule = Fixed(1)
    sources = [
        LiveSource(name, tiny.classifier(seed).frozen_copy()) for seed, name in enumerate(("student", "teacher"))
    ]
    router = SampleRouter(rule.candidates(sources), rule)
    tiny.fit(method, tiny.data_module(batch_size=48), callbacks=[router], **options)


@pytest.mark.parametrize(("warmup", "weights"), [(1, [1.0, 1.0, 1.0]), (2, [0.5, 1.0, 1.0]), (4, [0.25, 0.5, 0.75])])
def test_the_soft_term_grows_linearly_over_the_first_epochs(warmup: int, weights: list[float]) -> None:
    options: Any = {"alpha": 1.0, "beta": 1.0, "temperature": 1.0, "label_weight": 1.0, "warmup_epochs": warmup}
    method = Warming([tiny.classifier(0)], tiny.optimization(), name="dkd", **options)
    train(method, max_epochs=3)
    assert method.weights == pytest.approx(weights)


def test_two_classes_learn_whatever_the_weight_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiny, "CLASSES", 2)
    methods = [dkd(beta=0.0), dkd(beta=8.0), dkd(alpha=0.0, beta=8.0)]
    for method in methods:
        train(method, max_epochs=3)
    none, much, without_label = (method.networks.state_dict() for method in methods)
    for name, weights in none.items():
        assert torch.isfinite(weights).all() and torch.equal(much[name], weights)
    assert any(not torch.equal(without_label[name], weights) for name, weights in none.items())


def test_the_soft_term_alone_is_warmed_up() -> None:
    method, batch = dkd(), routed_batch()
    whole = method.terms([student_logits()], batch)
    method.warmth.fill_(0.25)
    warming = method.terms([student_logits()], batch)
    assert float(warming["soft"]) == pytest.approx(0.25 * float(whole["soft"]))
    assert float(warming["label"]) == float(whole["label"])
