"""When a checkpoint is written, and that going on from it leads to the same weights and curves."""

from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from omegaconf import OmegaConf

from ktlight.errors import UserError
from ktlight.methods.supervised import Supervised
from ktlight.report.folder import RunFolder
from ktlight.training import checkpoints
from ktlight.training.trainer import fit

EPOCHS = 4
CONFIG = {
    "accelerator": "cpu", "devices": 1, "num_nodes": 1, "strategy": "auto", "precision": "32-true",
    "check_val_every_n_epoch": 1, "accumulate_grad_batches": 1, "gradient_clip_val": None, "channels_last": False,
    "compile": None, "sync_batchnorm": False, "deterministic": False, "progress": False,
}  # fmt: skip


class Clock:
    """A clock that goes on by a second a batch, six an epoch."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(checkpoints, "monotonic", clock)
    return clock


class Learner(Supervised):
    """Says which epochs ran, lets time pass, and can die in one of them."""

    def __init__(self, clock: Clock, dies_in: int | None = None) -> None:
        super().__init__([tiny.classifier(0, torch.nn.Dropout(0.2))], tiny.optimization())
        self.clock, self.dies_in = clock, dies_in
        self.ran: list[int] = []

    def on_train_epoch_start(self) -> None:
        self.ran.append(self.current_epoch)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        super().on_train_batch_end(outputs, batch, batch_idx)
        self.clock.now += 1
        if batch_idx == 3 and self.current_epoch == self.dies_in:
            raise RuntimeError("pulled the plug")


def run(method: Supervised, folder: Path, seconds: float, keep_end: bool = False, resume: bool = False) -> None:
    config = OmegaConf.create({**CONFIG, "checkpoint_every_seconds": seconds})
    fit(config, method, tiny.data_module(), RunFolder(folder), max_epochs=EPOCHS, resume=resume, keep_end=keep_end)


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The epochs after which a checkpoint was written."""
    saved: list[int] = []
    save = checkpoints.WholeCheckpoints.save_checkpoint

    def noted(self: Any, checkpoint: dict[str, Any], path: Any, **options: Any) -> None:
        saved.append(checkpoint["epoch"])
        save(self, checkpoint, path, **options)

    monkeypatch.setattr(checkpoints.WholeCheckpoints, "save_checkpoint", noted)
    return saved


@pytest.mark.parametrize(
    ("seconds", "keep_end", "expected"),
    [
        (0, False, [0, 1, 2, 3]),
        (9, False, [1, 3]),  # an epoch takes six seconds
        (18, False, [2]),
        (100, False, []),  # a short training writes nothing
        (100, True, [3]),  # unless something follows that needs it
        (18, True, [2, 3]),
    ],
)
def test_a_checkpoint_is_due_by_time(
    seconds: float, keep_end: bool, expected: list[int], clock: Clock, saved: list[int], tmp_path: Path
) -> None:
    run(Learner(clock), tmp_path, seconds, keep_end)
    assert saved == expected
    assert (tmp_path / "checkpoints" / "last.ckpt").exists() == bool(expected)


def test_resumed_from_an_earlier_epoch_than_it_had_reached(clock: Clock, saved: list[int], tmp_path: Path) -> None:
    undisturbed = Learner(clock)
    run(undisturbed, tmp_path / "undisturbed", seconds=100)

    with pytest.raises(RuntimeError, match="pulled the plug"):
        run(Learner(clock, dies_in=3), tmp_path / "killed", seconds=9)
    assert saved == [1]  # nothing is written when it dies
    curves = tmp_path / "killed" / "curves.csv"
    assert curves.read_text().count("\n") == 4  # the row of epoch 2, which is to be run again, is there
    curves.write_text(curves.read_text().replace("\n2,", "\n2,9"))  # as if it had said something else

    resumed = Learner(clock)
    run(resumed, tmp_path / "killed", seconds=100, resume=True)
    assert resumed.ran == [2, 3]
    assert curves.read_bytes() == (tmp_path / "undisturbed" / "curves.csv").read_bytes()
    for left, right in zip(resumed.parameters(), undisturbed.parameters(), strict=True):
        assert torch.equal(left, right)


def test_interrupted_a_second_time_before_its_next_checkpoint(clock: Clock, tmp_path: Path) -> None:
    undisturbed = Learner(clock)
    run(undisturbed, tmp_path / "undisturbed", seconds=100)
    for dies_in, resume in ((3, False), (2, True), (3, True)):
        with pytest.raises(RuntimeError, match="pulled the plug"):
            run(Learner(clock, dies_in=dies_in), tmp_path / "killed", seconds=9 if not resume else 100, resume=resume)
    last = Learner(clock)
    run(last, tmp_path / "killed", seconds=100, resume=True)
    assert (tmp_path / "killed" / "curves.csv").read_bytes() == (tmp_path / "undisturbed" / "curves.csv").read_bytes()
    for left, right in zip(last.parameters(), undisturbed.parameters(), strict=True):
        assert torch.equal(left, right)


def test_a_finished_stage_is_not_run_again(clock: Clock, tmp_path: Path) -> None:
    first = Learner(clock)
    run(first, tmp_path, seconds=100, keep_end=True)
    rows = (tmp_path / "curves.csv").read_bytes()
    again = Learner(clock)
    run(again, tmp_path, seconds=100, keep_end=True, resume=True)
    assert again.ran == [] and (tmp_path / "curves.csv").read_bytes() == rows
    for left, right in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(left, right)


def test_the_former_checkpoint_stays_until_the_new_one_is_whole(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = checkpoints.save

    def half(checkpoint: dict[str, Any], path: Path) -> None:
        if checkpoint["epoch"] == 2:
            path.write_bytes(b"half")
            raise UserError("the disk is full")
        save(checkpoint, path)

    monkeypatch.setattr(checkpoints, "save", half)
    with pytest.raises(UserError, match="full"):
        run(Learner(clock), tmp_path, seconds=0)
    assert torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)["epoch"] == 1
    assert len(list((tmp_path / "checkpoints").iterdir())) == 1
