"""A run killed at any moment and resumed ends as if nothing had happened, bit for bit."""

import csv
import json
import shutil
import signal
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Command, figures
from forked import run_forked

from ktlight.training.checkpoints import WholeCheckpoints

EPOCHS = 4
EVERY_EPOCH = "trainer.checkpoint_every_seconds=0"


def kill_in_an_epoch(process: BaseProcess, checkpoint: Path) -> None:
    """Kill the process while the epoch after some checkpoint runs."""
    deadline = time.monotonic() + 600
    while not checkpoint.exists():
        assert process.is_alive() and time.monotonic() < deadline
        time.sleep(0.002)
    time.sleep(0.1)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def assert_same_run(left: Path, right: Path) -> None:
    assert (left / "student" / "model.safetensors").read_bytes() == (
        right / "student" / "model.safetensors"
    ).read_bytes()
    assert figures(left) == figures(right)
    for name in ("curves.csv", "predictions.parquet", "config.yaml"):
        assert (left / name).read_bytes() == (right / name).read_bytes(), name


METHODS = {
    "kl_mcl": ["method=kl_mcl", "data.views=2", "restraint.samples=36", "trainer.check_val_every_n_epoch=2"],
    "kl_dp": [
        "method=kl_dp",
        "data.views=null",
        "trainer.check_val_every_n_epoch=2",
        "+student.kwargs.drop_rate=0.2",
        "student.checkpoint={test_vit}",
    ],
}


@pytest.mark.parametrize("method", METHODS)
def test_killed_in_the_middle_of_an_epoch(method: str, zoo: dict[str, Path], command: Command, tmp_path: Path) -> None:
    # 30 steps an epoch: there is a middle to be killed in
    options = [option.format(**zoo) for option in METHODS[method]]
    options += [f"trainer.max_epochs={EPOCHS}", "data.batch_size=12", "optim=sgd", "optim.lr=0.5", EVERY_EPOCH]
    killed = run_forked(*options, f"hydra.run.dir={tmp_path}/killed")
    kill_in_an_epoch(killed, tmp_path / "killed" / "checkpoints" / "last.ckpt")
    state = torch.load(tmp_path / "killed" / "checkpoints" / "last.ckpt", weights_only=True)
    assert state["epoch"] < EPOCHS - 1
    assert not (tmp_path / "killed" / "results.json").exists()
    undisturbed = command(*options, "hydra.run.dir=undisturbed")
    assert undisturbed.code == 0, undisturbed.err

    resumed = command(*options, "hydra.run.dir=killed", "resume=true")
    assert resumed.code == 0, resumed.err
    assert "Continuing after epoch" in resumed.out
    assert_same_run(tmp_path / "killed", tmp_path / "undisturbed")
    assert not list((tmp_path / "killed").glob("previous-*"))
    assert not (tmp_path / "killed" / "checkpoints").exists()
    with (tmp_path / "killed" / "curves.csv").open(newline="") as file:
        validated = [bool(row["val/acc"]) for row in csv.DictReader(file)]
    assert validated == [False, True, False, True]  # no figure of an earlier epoch stands in for a missing one


QUICK = [
    "method=kl_mcl",
    "trainer.max_epochs=2",
    "trainer.check_val_every_n_epoch=1",
    "optim=sgd",
    "optim.lr=0.5",
    EVERY_EPOCH,
]


@pytest.fixture(scope="module")
def finished(zoo: dict[str, Path], run_in: Callable[..., Path]) -> Path:
    return run_in("finished", *QUICK)


def fail_at_save(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Let the run die just after it has written its ``number``-th checkpoint."""
    save = WholeCheckpoints.save_checkpoint
    saved: list[object] = []

    def failing(self: WholeCheckpoints, checkpoint: Any, path: Any, **options: Any) -> None:
        save(self, checkpoint, path, **options)
        saved.append(path)
        if len(saved) == number:
            raise RuntimeError("pulled the plug")

    monkeypatch.setattr(WholeCheckpoints, "save_checkpoint", failing)


def content(folder: Path) -> dict[str, bytes]:
    """Return every file of a run but Hydra's record of the last command and what was said."""
    skipped = {".hydra", ".lock", "run.log"}
    files = (path for path in folder.rglob("*") if path.is_file() and not skipped & set(path.parts))
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize("number", [1, 2])
def test_stopped_just_after_a_checkpoint(
    number: int, finished: Path, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # before Lightning logs the epoch; after the second there is no epoch left to run
    with monkeypatch.context() as patch:
        fail_at_save(patch, number)
        assert command(*QUICK, "hydra.run.dir=run").code == 1
    stopped = content(tmp_path / "run")
    assert "checkpoints/last.ckpt" in stopped and "results.json" not in stopped

    refused = command(*QUICK, "optim.lr=0.25", "hydra.run.dir=run", "resume=true")
    assert refused.code == 1
    assert "another config" in refused.err and "lr: 0.25" in refused.err and "lr: 0.5" in refused.err
    assert content(tmp_path / "run") == stopped

    resumed = command(*QUICK, "hydra.run.dir=run", "resume=true", "data.workers=1")
    assert resumed.code == 0 and "Continuing after epoch" in resumed.out
    assert_same_run(tmp_path / "run", finished)


def test_stopped_while_pretraining_on_the_spot(
    zoo: dict[str, Path], command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["student=test_vit", f"teacher.checkpoint={zoo['test_convnext']}", "trainer.max_epochs=1", EVERY_EPOCH]
    monkeypatch.setenv("KTLIGHT_CACHE", str(tmp_path / "one"))
    assert command(*options, "hydra.run.dir=undisturbed").code == 0
    monkeypatch.setenv("KTLIGHT_CACHE", str(tmp_path / "other"))
    with monkeypatch.context() as patch:
        fail_at_save(patch, 1)
        assert command(*options, "hydra.run.dir=stopped").code == 1
    assert not list(tmp_path.glob("other/zoo/**/model.safetensors"))  # nothing half-trained is kept
    assert (tmp_path / "stopped" / "pretrain-student" / "checkpoints" / "last.ckpt").exists()

    resumed = command(*options, "hydra.run.dir=stopped", "resume=true")
    assert resumed.code == 0 and "Continuing after epoch" in resumed.out
    assert_same_run(tmp_path / "stopped", tmp_path / "undisturbed")
    assert_same_run(tmp_path / "stopped" / "pretrain-student", tmp_path / "undisturbed" / "pretrain-student")


def test_a_finished_run_is_only_shown_again(finished: Path, command: Command) -> None:
    before = content(finished)
    shown = command(*QUICK, f"hydra.run.dir={finished}", "resume=true", "data.workers=1")
    assert shown.code == 0 and "transfer delta" in shown.out
    assert content(finished) == before


@pytest.mark.parametrize("change", ["optim.lr=0.25", "student=test_convnext"])
def test_a_finished_run_of_another_config_is_not_shown(change: str, finished: Path, command: Command) -> None:
    before = content(finished)
    refused = command(*QUICK, change, f"hydra.run.dir={finished}", "resume=true")
    assert refused.code == 1
    assert "another config" in refused.err and "transfer delta" not in refused.out
    assert content(finished) == before


def test_a_used_folder_is_set_aside(finished: Path, command: Command, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "run")
    before = content(finished)
    for number in (1, 2):
        again = command(*QUICK, "hydra.run.dir=run", "trainer.max_epochs=1")
        assert again.code == 0 and f"previous-{number}" in again.out
    kept = content(tmp_path / "run" / "previous-1")
    assert kept == before
    assert json.loads((tmp_path / "run" / "results.json").read_text())["epochs"] == 1
    assert (tmp_path / "run" / "curves.csv").read_text().count("\n") == 2


def test_resume_without_anything_to_resume_starts(zoo: dict[str, Path], command: Command, tmp_path: Path) -> None:
    begun = command(*QUICK, "hydra.run.dir=run", "resume=true", "trainer.max_epochs=1")
    assert begun.code == 0 and "Nothing to resume" in begun.out
    assert (tmp_path / "run" / "results.json").exists()


@pytest.mark.parametrize(
    ("task", "says"),
    [
        (["trainer.max_epochs=1"], "transfer delta"),
        (["task=pretrain", "student=test_vit"], "accuracy"),
        (["task=evaluate", "student=test_vit"], "accuracy"),
        (["task=store", "store.action=list"], "entries"),
        (["task=store", "models=[test_vit]", "data.views=2", "trainer.max_epochs=1"], "entries"),
        (["task=zoo"], "zoo:NAME"),
    ],
)
def test_every_task_can_be_resumed_again_and_again(
    task: list[str], says: str, zoo: dict[str, Path], command: Command, tmp_path: Path
) -> None:
    seen = []
    for more in ([], ["resume=true"], ["resume=true"]):
        ended = command(*task, *more, "hydra.run.dir=run")
        assert ended.code == 0 and says in ended.out, ended.err
        seen.append(figures(tmp_path / "run"))
        assert not list((tmp_path / "run").glob("previous-*"))
    assert seen == [seen[0]] * 3
