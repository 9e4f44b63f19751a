import copy
from typing import Any

import pytest
import tiny
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn

from ktlight.methods.supervised import Supervised
from ktlight.restraints.interpolation import WeightInterpolation


class Record(Callback):
    """Keeps a copy of the network after every batch, and of what validation saw."""

    def __init__(self) -> None:
        self.after_batch: list[dict[str, Tensor]] = []
        self.validated: list[dict[str, Tensor]] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *rest: Any) -> None:
        self.after_batch.append(copy.deepcopy(pl_module.networks[0].state_dict()))

    def on_validation_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int, *rest: Any) -> None:
        if batch_idx == 0:
            self.validated.append(copy.deepcopy(pl_module.networks[0].state_dict()))


def train(
    restraint: WeightInterpolation | None, middle: tuple[nn.Module, ...] = (), **options: Any
) -> tuple[Any, Record]:
    method = Supervised([tiny.classifier(0, *copy.deepcopy(middle))], tiny.optimization())
    record = Record()
    callbacks = [restraint, record] if restraint else [record]
    tiny.fit(method, callbacks=callbacks, **options)
    return method.networks[0].state_dict(), record


def assert_same(left: dict[str, Tensor], right: dict[str, Tensor]) -> None:
    assert left.keys() == right.keys()
    for name in left:
        torch.testing.assert_close(left[name], right[name], rtol=0, atol=0)


class Default(nn.Module):
    """Gives what comes in the precision that the trainer computes in."""

    def forward(self, image: Tensor) -> Tensor:
        return image.to(torch.get_default_dtype())


def test_slow_weights_are_float32_in_any_precision() -> None:
    """A thousandth of the way is less than bfloat16 can tell: the slow weights would never move."""
    restraint = WeightInterpolation(tau=0.999, samples=1)
    slow, record = train(restraint, (Default(),), precision="bf16-true", max_epochs=20)
    assert {weights.dtype for weights in restraint.slow} == {torch.float32}
    initial = tiny.classifier(0, Default()).state_dict()
    names = list(initial)
    followed = [initial[name].bfloat16().float() for name in names]
    for after in record.after_batch:
        followed = [0.999 * mine + 0.001 * after[name].float() for mine, name in zip(followed, names, strict=True)]
    for mine, expected, name in zip(restraint.slow, followed, names, strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(slow[name], expected.bfloat16(), rtol=1e-2, atol=1e-5)


@pytest.mark.parametrize(("accumulate", "every"), [(1, 1), (1, 4), (2, 1), (4, 2)])
def test_slow_weights_follow_a_written_out_loop(accumulate: int, every: int) -> None:
    # 48 samples in batches of 8: 6 batches an epoch; with accumulation over 4, the last step of an epoch takes only 2
    tau, epochs, batches = 0.7, 2, 6
    initial = copy.deepcopy(tiny.classifier(0).state_dict())
    options = {"accumulate_grad_batches": accumulate, "max_epochs": epochs}
    _, free = train(None, **options)
    final, restrained = train(WeightInterpolation(tau, every), **options)

    slow = {name: value.double() for name, value in initial.items()}
    at_epoch_end, steps = [], 0
    for number, fast in enumerate(free.after_batch):
        in_epoch = number % batches + 1
        if in_epoch % accumulate == 0 or in_epoch == batches:
            steps += 1
            if steps % every == 0:
                slow = {name: tau * slow[name] + (1 - tau) * fast[name] for name in slow}
        if in_epoch == batches:
            at_epoch_end.append(slow)
    assert steps == epochs * -(-batches // accumulate)

    for fast, free_fast in zip(restrained.after_batch, free.after_batch, strict=True):
        assert_same(fast, free_fast)  # the fast weights never notice
    for name in slow:
        for validated, expected in zip(restrained.validated, at_epoch_end, strict=True):
            torch.testing.assert_close(validated[name], expected[name].float())
        torch.testing.assert_close(final[name], slow[name].float())


def test_without_pull_it_is_no_restraint() -> None:
    free, free_record = train(None, max_epochs=2)
    restrained, record = train(WeightInterpolation(tau=0.0, samples=1), max_epochs=2)
    assert_same(free, restrained)
    for left, right in zip(free_record.validated, record.validated, strict=True):
        assert_same(left, right)


def test_without_give_nothing_is_learned() -> None:
    initial = copy.deepcopy(tiny.classifier(0).state_dict())
    final, record = train(WeightInterpolation(tau=1.0, samples=1))
    assert_same(final, initial)
    assert any((record.after_batch[-1][name] != initial[name]).any() for name in initial)


@pytest.mark.parametrize("average_buffers", [False, True])
def test_batchnorm_statistics_are_the_fast_ones_unless_averaged(average_buffers: bool) -> None:
    middle = (nn.BatchNorm1d(3 * tiny.SIZE**2),)
    tau = 0.5
    _, free = train(None, middle)
    final, _ = train(WeightInterpolation(tau, 1, average_buffers), middle)
    initial = tiny.classifier(0, *copy.deepcopy(middle)).state_dict()
    name = "network.1.running_mean"
    expected = free.after_batch[-1][name]
    if average_buffers:
        expected = initial[name]
        for fast in free.after_batch:
            expected = tau * expected + (1 - tau) * fast[name]
    torch.testing.assert_close(final[name], expected)
    assert int(final["network.1.num_batches_tracked"]) == 6  # counts are never averaged


def test_frozen_parameters_are_left_alone() -> None:
    network = tiny.classifier(0, nn.Linear(48, 48))
    frozen = network.network[1].requires_grad_(False).weight.clone()
    restraint = WeightInterpolation(0.5, 1)
    tiny.fit(Supervised([network], tiny.optimization()), callbacks=[restraint])
    assert len(restraint.slow) == 2
    torch.testing.assert_close(network.network[1].weight, frozen, rtol=0, atol=0)
