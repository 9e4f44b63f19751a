"""A training of a pack gives what Lightning's trainer gives, whatever the others in the pack do."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ktlight.errors import NotFinite, Preempted
from ktlight.methods.label_smoothing import LabelSmoothing
from ktlight.report.folder import RunFolder
from ktlight.restraints.interpolation import WeightInterpolation
from ktlight.training.assemble import seed
from ktlight.training.member import Member
from ktlight.training.together import train_together
from ktlight.training.trainer import build_trainer, fit
from ktlight.types import Batch
from tests import tiny

EVERY_EPOCH = ("trainer.checkpoint_every_seconds=0", "trainer.check_val_every_n_epoch=2")
OPTIMIZERS = (tiny.SGD, torch.optim.AdamW, partial(torch.optim.SGD, weight_decay=0.1))


class Noted(LabelSmoothing):
    """Draws random numbers beyond its network's dropout, and may diverge at a step."""

    diverges_at: int | None = None

    def terms(self, logits_NBC: Any, batch: Batch) -> dict[str, Tensor]:
        terms = super().terms(logits_NBC, batch)
        broken = self.global_step == self.diverges_at
        return {name: term * (1 + torch.rand(())) * (torch.nan if broken else 1) for name, term in terms.items()}


def method(number: int) -> Noted:
    network = tiny.classifier(number, nn.BatchNorm1d(3 * tiny.SIZE**2), nn.Dropout(0.1 * (number + 1)))
    how = tiny.optimization(OPTIMIZERS[number], lr=0.02 * (number + 1), decay="cosine", warmup_epochs=0.5)
    return Noted([network], how, name="noted", smoothing=0.1 * number)


def restraints(number: int) -> list[Any]:
    return [WeightInterpolation(0.9, 16, batch=8)] if number == 1 else []


def alone(number: int, folder: Path, epochs: int, config: Any, resume: bool = False) -> Noted:
    seed(config)
    learner = method(number)
    data = tiny.data_module().seen_by(learner.framings)
    fit(
        config.trainer, learner, data, RunFolder(folder), max_epochs=epochs, resume=resume, callbacks=restraints(number)
    )
    return learner


def together(folder: Path, lengths: list[int], config: Any, resume: bool = False) -> list[Member]:
    seed(config)
    trainer = build_trainer(config.trainer)
    members = []
    for number, epochs in enumerate(lengths):
        learner = method(number)
        members.append(
            Member(
                trainer, learner, tiny.data_module().seen_by(learner.framings), RunFolder(folder / str(number)),
                config.trainer, max_epochs=epochs, resume=resume, callbacks=restraints(number), loggers=(),
            )
        )  # fmt: skip
    return members


def state_of(learner: Noted) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in learner.networks.state_dict().items()}


def assert_equal(left: Noted, right: Noted) -> None:
    torch.testing.assert_close(state_of(left), state_of(right), rtol=0, atol=0)


def nothing() -> None:
    pass


@pytest.mark.parametrize("clip", ["null", "0.05"])
def test_members_of_different_lengths(tmp_path: Path, clip: str) -> None:
    config = tiny.config(*EVERY_EPOCH, f"trainer.gradient_clip_val={clip}")
    members = together(tmp_path / "pack", [4, 2, 3], config)
    train_together(members, nothing)
    for number, epochs in enumerate([4, 2, 3]):
        single = alone(number, tmp_path / "alone" / str(number), epochs, config)
        assert_equal(single, members[number].method)  # type: ignore[arg-type]
        curves = [tmp_path / kind / str(number) / "curves.csv" for kind in ("alone", "pack")]
        assert curves[0].read_bytes() == curves[1].read_bytes()


def test_one_that_diverges_leaves_the_others_as_they_are(tmp_path: Path) -> None:
    config = tiny.config(*EVERY_EPOCH)
    members = together(tmp_path / "pack", [2, 2, 2], config)
    members[1].method.diverges_at = 3  # type: ignore[assignment]
    train_together(members, nothing)
    assert [type(each.failure) for each in members] == [type(None), NotFinite, type(None)]
    for number in (0, 2):
        assert_equal(alone(number, tmp_path / str(number), 2, config), members[number].method)  # type: ignore[arg-type]


def test_a_checkpoint_of_a_pack_is_one_of_lightnings(tmp_path: Path) -> None:
    config = tiny.config(*EVERY_EPOCH)
    members = together(tmp_path / "pack", [4, 4, 4], config)
    left = iter(range(15))

    def next_batch() -> None:
        if next(left, None) is None:  # in the third epoch of six steps
            raise Preempted

    with pytest.raises(Preempted):
        train_together(members, next_batch)
    for number in range(3):
        resumed = alone(number, tmp_path / "pack" / str(number), 4, config, resume=True)
        whole = alone(number, tmp_path / "whole" / str(number), 4, config)
        assert_equal(resumed, whole)
        curves = [tmp_path / kind / str(number) / "curves.csv" for kind in ("whole", "pack")]
        assert curves[0].read_bytes() == curves[1].read_bytes()


def test_a_pack_with_no_epoch_left_is_as_it_was(tmp_path: Path) -> None:
    config = tiny.config(*EVERY_EPOCH)
    wholes = [alone(number, tmp_path / "pack" / str(number), 3, config) for number in range(3)]
    before = {file: file.read_bytes() for file in tmp_path.rglob("curves.csv")}
    members = together(tmp_path / "pack", [3, 3, 3], config, resume=True)
    train_together(members, nothing)
    for whole, member in zip(wholes, members, strict=True):
        assert member.failure is None
        assert_equal(whole, member.method)  # type: ignore[arg-type]
    assert {file: file.read_bytes() for file in tmp_path.rglob("curves.csv")} == before
