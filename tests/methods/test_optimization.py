import copy
import math
from functools import partial
from typing import Any

import pytest
import tiny
import torch
from lightning.pytorch.callbacks import Callback
from omegaconf import OmegaConf

from ktlight.methods import optimization
from ktlight.methods.mutual import MutualLearning
from ktlight.methods.optimization import JointOptimizer, Optimization
from ktlight.methods.supervised import Supervised
from ktlight.training import assemble


class Rates(Callback):
    """Keeps the learning rate that each optimiser step was taken with."""

    def __init__(self) -> None:
        self.rates: list[float] = []

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        self.rates.append(optimizer.param_groups[0]["lr"])


def rates(epochs: int = 1, accumulate: int = 1, batch_size: int = 8, **options: Any) -> list[float]:
    record = Rates()
    method = Supervised([tiny.classifier()], tiny.optimization(**options))
    tiny.fit(
        method, tiny.data_module(batch_size), callbacks=[record], max_epochs=epochs, accumulate_grad_batches=accumulate
    )
    return record.rates


@pytest.mark.parametrize(("batch_size", "accumulate"), [(8, 1), (8, 3), (24, 1)])
def test_the_rate_grows_with_the_effective_batch(batch_size: int, accumulate: int) -> None:
    taken = rates(batch_size=batch_size, accumulate=accumulate, lr=0.01, lr_batch=256)
    assert taken == pytest.approx([0.01 * batch_size * accumulate / 256] * (48 // (batch_size * accumulate)))


def test_the_paper_s_rate() -> None:
    assert tiny.optimization(lr=1e-4, lr_batch=256).scaled_lr(1024) == pytest.approx(4e-4)


def test_without_a_reference_batch_the_rate_is_as_given() -> None:
    assert rates(lr=0.01, lr_batch=None) == pytest.approx([0.01] * 6)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_warm_up_then_cosine_in_optimiser_steps(accumulate: int) -> None:
    epochs, per_epoch = 4, 6 // accumulate
    taken = rates(epochs, accumulate, lr=0.1, warmup_epochs=1, decay="cosine")
    total = epochs * per_epoch
    assert len(taken) == total
    expected = [0.1 * (step + 1) / per_epoch for step in range(per_epoch)]
    expected += [0.1 * (1 + math.cos(math.pi * step / (total - per_epoch))) / 2 for step in range(total - per_epoch)]
    assert taken == pytest.approx(expected)


def test_warm_up_alone_ends_at_the_full_rate() -> None:
    assert rates(2, lr=0.1, warmup_epochs=0.5)[:4] == pytest.approx([0.1 / 3, 0.2 / 3, 0.1, 0.1])


def test_only_parameters_that_learn_reach_the_optimiser() -> None:
    given: list[torch.nn.Parameter] = []

    def make(params: list[torch.nn.Parameter], lr: float) -> torch.optim.Optimizer:
        given.extend(params)
        return torch.optim.SGD(params, lr)

    network = tiny.classifier(0, torch.nn.Linear(48, 48))
    network.network[1].requires_grad_(False)
    tiny.fit(Supervised([network], tiny.optimization(make)))
    assert {id(parameter) for parameter in given} == {id(parameter) for parameter in network.network[2].parameters()}


def test_a_large_network_learns_more_slowly_and_a_small_one_as_said():
    plain = Optimization(optimizer=torch.optim.AdamW, lr=3e-3)
    assert plain.slowed(10**6, 1e6).lr == plain.slowed(1000, 1e6).lr == plain.slowed(10**9, None).lr == 3e-3
    assert plain.slowed(4 * 10**6, 1e6).lr == pytest.approx(1.5e-3)


def test_each_network_learns_with_an_optimiser_of_its_own() -> None:
    """Joint training with separate losses is what each network would do alone, given the same targets."""
    adam = partial(torch.optim.AdamW, weight_decay=0.1)

    def states(number: int) -> dict[str, torch.Tensor]:
        return {name: value.clone() for name, value in networks[number].state_dict().items()}

    networks = [tiny.classifier(0), tiny.classifier(1)]
    how = tiny.optimization(lr=0.1, peers=(tiny.optimization(adam, lr=0.01, warmup_epochs=1, decay="cosine"),))
    method = MutualLearning(networks, how, name="dml", weight=0.0, temperature=1.0, own_views=False)
    tiny.fit(method, max_epochs=2)
    together = [states(0), states(1)]
    networks = [tiny.classifier(0), tiny.classifier(1)]
    tiny.fit(Supervised(networks[:1], tiny.optimization(lr=0.1)), max_epochs=2)
    tiny.fit(Supervised(networks[1:], tiny.optimization(adam, lr=0.01, warmup_epochs=1, decay="cosine")), max_epochs=2)
    torch.testing.assert_close(together, [states(0), states(1)])


def test_a_joint_optimiser_goes_on_where_it_was() -> None:
    def joint() -> tuple[list[torch.nn.Parameter], JointOptimizer]:
        weights = [torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(2))]
        return weights, JointOptimizer([torch.optim.SGD(weights[:1], 0.1, 0.9), torch.optim.AdamW(weights[1:], 0.1)])

    def step(weights: list[torch.nn.Parameter], optimizer: JointOptimizer) -> None:
        optimizer.zero_grad()
        sum((weight**2).sum() for weight in weights).backward()  # type: ignore[union-attr]
        optimizer.step()

    weights, optimizer = joint()
    for _ in range(2):
        step(weights, optimizer)
    others, other = joint()
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for mine, theirs in zip(others, weights, strict=True):
        mine.data.copy_(theirs.data)
    for group in (*optimizer.param_groups, *other.param_groups):
        group["lr"] = 0.01  # as a schedule does
    step(weights, optimizer)
    step(others, other)
    torch.testing.assert_close(others, weights, rtol=0, atol=0)


FUSED = tiny.optimization(fused=True)


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fused optimisers exist on processors too: so what happens on a GPU can be seen here."""
    monkeypatch.setattr(optimization, "on_gpu", bool)


@pytest.mark.usefixtures("as_on_a_gpu")
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("clip", [None, 1.0])
def test_gradients_are_clipped_under_any_precision(precision: Any, clip: float | None) -> None:
    method = Supervised([tiny.classifier()], FUSED)
    trainer = tiny.fit(method, precision=precision, gradient_clip_val=clip)
    assert trainer.optimizers[0].param_groups[0]["fused"] == (True if clip is None else None)


@pytest.mark.usefixtures("as_on_a_gpu")
@pytest.mark.parametrize(
    "target", ["SGD", "AdamW", "RMSprop", "NAdam", "RAdam", "Adamax", "timm.optim.Lamb", "timm.optim.Lion"]
)
def test_optimisers_with_and_without_a_fused_kernel(target: str) -> None:
    options = OmegaConf.create(
        {
            "optimizer": {"_target_": target if "." in target else f"torch.optim.{target}"},
            "lr": 1e-3, "lr_batch": None, "lr_parameters": None, "warmup_epochs": 0, "decay": "constant",
        }
    )  # fmt: skip
    network = tiny.classifier()
    before = network.network[1].weight.clone()
    trainer = tiny.fit(Supervised([network], assemble.optimization(options, network)))
    assert bool(trainer.optimizers[0].param_groups[0].get("fused")) == (target in ("SGD", "AdamW"))
    assert not torch.equal(network.network[1].weight, before)


@pytest.mark.parametrize(("samples", "accumulate"), [(50, 1), (50, 2), (50, 4), (48, 4)])
def test_the_cosine_ends_at_zero_with_any_accumulation_and_last_batch(samples: int, accumulate: int) -> None:
    """7 or 6 batches of 8: with 2 or 4 at a time, the last step of an epoch has fewer."""
    record, epochs = Rates(), 10
    method = Supervised([tiny.classifier()], tiny.optimization(lr=0.1, decay="cosine"))
    trainer = tiny.fit(
        method, tiny.data_module(train=samples), [record], max_epochs=epochs, accumulate_grad_batches=accumulate
    )
    steps = epochs * math.ceil(math.ceil(samples / 8) / accumulate)
    assert len(record.rates) == trainer.global_step == steps
    assert record.rates[-1] == pytest.approx(0.1 * (math.pi / steps) ** 2 / 4, rel=0.01)  # a step before zero
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0, abs=1e-9)


def test_warm_up_takes_at_most_half_of_a_short_training() -> None:
    how = tiny.optimization(warmup_epochs=2, decay="cosine")
    assert [how.warmup_steps(total, epochs) for total, epochs in ((300, 50), (24, 4), (12, 2), (6, 1))] == [
        12,
        12,
        6,
        3,
    ]
