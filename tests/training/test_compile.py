"""A compiled step: whole graphs, two sizes of batches, and nothing compiled again for another view or epoch."""

from collections.abc import Callable
from typing import Any

import pytest
import tiny
import torch
from torch._dynamo.testing import CompileCounter
from torch._dynamo.utils import counters

from ktlight.methods.base import TransferMethod
from ktlight.methods.correlation import DIST
from ktlight.methods.decoupled import DKD
from ktlight.methods.distillation import Distillation
from ktlight.methods.kdcl import KDCL
from ktlight.models.sources import LiveSource
from ktlight.restraints.interpolation import WeightInterpolation
from ktlight.routing.confidence import MostConfident
from ktlight.routing.fixed import Random
from ktlight.routing.flips import Flip, NoNegativeFlips
from ktlight.routing.router import SampleRouter
from ktlight.routing.rules import RoutingRule
from ktlight.routing.soft import Soft
from ktlight.stages.stage import build_method
from ktlight.training.compilation import compile_step
from tests.methods.features import networks, sources

compile = torch.compile


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> CompileCounter:
    """Compile without generating code, counting graphs."""
    torch._dynamo.reset()
    counters.clear()
    counter = CompileCounter()
    monkeypatch.setattr(
        torch, "compile", lambda function, mode, dynamic: compile(function, backend=counter, dynamic=dynamic)
    )
    return counter


def trained(method: TransferMethod, rule: RoutingRule | None, compiled: bool) -> dict[str, torch.Tensor]:
    sources = [
        LiveSource("student", tiny.classifier(0).frozen_copy()),
        LiveSource("teacher", tiny.classifier(1).frozen_copy()),
    ]
    callbacks: list[Any] = [WeightInterpolation(0.5, 2)]
    callbacks += [SampleRouter(rule.candidates(sources), rule)] if rule else []
    if compiled:
        compile_step(method, callbacks, "default")
    tiny.fit(method, tiny.data_module(batch_size=10), callbacks=callbacks, max_epochs=3)
    return {name: value.clone() for name, value in method.networks.state_dict().items()}


def distillation() -> Distillation:
    return Distillation(
        [tiny.classifier(0)], tiny.optimization(), name="xe_kl", soft_loss="kl", mixing=0.5, temperature=2.0
    )


@pytest.mark.parametrize("rule", [MostConfident(True), NoNegativeFlips(), Flip("average"), Soft(0.5, True)])
def test_a_routed_step_is_whole_graphs(rule: RoutingRule, graphs: CompileCounter) -> None:
    expected = trained(distillation(), rule, compiled=False)
    assert graphs.frame_count == 0
    learned = trained(distillation(), rule, compiled=True)
    torch.testing.assert_close(learned, expected)
    assert not counters["graph_break"]
    # losses and routing in two sizes (10 images, the last 8); two sources of one size, tiles of 32; validation in two
    # sizes (7, the last 6); the flip rule asks the student in the sizes of training too
    assert 2 + 2 < graphs.frame_count <= 2 + 2 + 2 + 2 + 2 * rule.needs_student


def dist() -> DIST:
    options = {"beta": 2.0, "gamma": 2.0, "temperature": 1.0, "label_weight": 1.0, "standardize_logits": True}
    return DIST([tiny.classifier(0)], tiny.optimization(), name="dist", **options)


def dkd() -> DKD:
    options = {"alpha": 1.0, "beta": 8.0, "temperature": 2.0, "label_weight": 1.0, "warmup_epochs": 3}
    return DKD([tiny.classifier(0)], tiny.optimization(lr=0.01), name="dkd", **options)


@pytest.mark.parametrize("method", [dist, dkd])
def test_losses_of_any_kind_are_whole_graphs(method: Callable[[], TransferMethod], graphs: CompileCounter) -> None:
    expected = trained(method(), MostConfident(True), compiled=False)
    torch.testing.assert_close(trained(method(), MostConfident(True), compiled=True), expected)
    assert not counters["graph_break"]
    assert graphs.frame_count <= 2 + 2 + 2 + 2  # none anew for the other weights of an epoch that warms up


def test_a_random_router_is_compiled_around_its_draws(graphs: CompileCounter) -> None:
    expected = trained(distillation(), Random(0.5, 0), compiled=False)
    torch.testing.assert_close(trained(distillation(), Random(0.5, 0), compiled=True), expected)
    assert graphs.frame_count < 20


@pytest.mark.parametrize("rule", ["naive", "linear", "minlogit"])
def test_networks_that_all_learn_are_whole_graphs(rule: Any, graphs: CompileCounter) -> None:
    def kdcl() -> KDCL:
        return KDCL(
            [tiny.classifier(0), tiny.classifier(1)], tiny.optimization(lr=0.01), name="kdcl", rule=rule, weight=1.0,
            temperature=2.0, update_teacher=True, own_views=False,
        )  # fmt: skip

    expected = trained(kdcl(), None, compiled=False)
    torch.testing.assert_close(trained(kdcl(), None, compiled=True), expected)
    assert not counters["graph_break"]
    assert 2 < graphs.frame_count <= 2 + 2 * 2  # losses; validation of both networks


@pytest.mark.parametrize("name", ["fitnet", "vkd", "rkd"])
def test_losses_on_features_are_whole_graphs(name: str, graphs: CompileCounter) -> None:
    def learned(compiled: bool) -> dict[str, torch.Tensor]:
        method, rule = build_method(tiny.config(f"method={name}", "optim=sgd"), networks()), MostConfident(True)
        router = SampleRouter(rule.candidates(sources(networks())), rule, features=True)
        if compiled:
            compile_step(method, [router], "default")
        tiny.fit(method, tiny.data_module(batch_size=10), callbacks=[router], max_epochs=2)
        return {name: value.clone() for name, value in method.networks.state_dict().items()}

    expected = learned(compiled=False)
    torch.testing.assert_close(learned(compiled=True), expected)
    assert not counters["graph_break"]
    assert graphs.frame_count > 4
