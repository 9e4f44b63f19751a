"""Runs that are trained together end as if each had been run alone, bit for bit."""

from pathlib import Path
from typing import Any

import pytest
from conftest import Command, figures

from ktlight.errors import Preempted
from ktlight.report.failure import read_failure
from ktlight.training.checkpoints import EpochCheckpoint
from ktlight.training.member import Member

BRIEF = ("-m", "trainer.max_epochs=3", "trainer.check_val_every_n_epoch=2", "data.batch_size=50")
DROPS = ("+student.kwargs.drop_rate=0.2", "+student.kwargs.drop_path_rate=0.1")
EVERY_EPOCH = "trainer.checkpoint_every_seconds=0"


def runs_of(folder: Path) -> list[str]:
    return sorted(file.parent.name for file in folder.glob("*/results.json"))


def assert_same(left: Path, right: Path, count: int) -> None:
    """Check that two sweeps have come to the same, byte by byte."""
    assert len(runs_of(left)) == count and runs_of(left) == runs_of(right)
    for name in runs_of(left):
        for file in ("student/model.safetensors", "curves.csv", "predictions.parquet", "config.yaml"):
            assert (left / name / file).read_bytes() == (right / name / file).read_bytes(), (name, file)
        assert figures(left / name) == figures(right / name)
        assert not (right / name / "checkpoints").exists()


def both(command: Command, *options: str) -> None:
    """Run a sweep one run after the other, then in packs."""
    for folder, pack in (("alone", 1), ("together", 4)):
        ended = command(*BRIEF, *options, f"sweep.pack={pack}", f"hydra.sweep.dir={folder}")
        assert ended.code == 0, ended.err
        assert ("trained together" in ended.out) == (pack > 1)


def steps_taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows by one at each step of a member of a pack."""
    taken: list[int] = []
    step = Member.step

    def counted(self: Member, batch: Any, number: int) -> None:
        taken.append(number)
        step(self, batch, number)

    monkeypatch.setattr(Member, "step", counted)
    return taken


def test_live_teachers_dropout_and_a_restraint(
    zoo: dict[str, Path], command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = steps_taken(monkeypatch)
    both(command, "method=kl_dp,xe_kl_mcl,label_smoothing", *DROPS)
    assert_same(tmp_path / "alone", tmp_path / "together", 3)
    assert len(taken) == 3 * 3 * 8  # three members, three epochs of 360 images


def test_stored_teachers_a_guard_features_and_clipping(zoo: dict[str, Path], command: Command, tmp_path: Path) -> None:
    options = ("guard=wise", "data.views=2", "data.holdout=0.2", "trainer.gradient_clip_val=0.5")
    both(command, "method=kl,crd", *options, DROPS[0])
    assert_same(tmp_path / "alone", tmp_path / "together", 2)
    for name in runs_of(tmp_path / "alone"):
        left, right = (tmp_path / sweep / name / "guard.parquet" for sweep in ("alone", "together"))
        assert left.read_bytes() == right.read_bytes()


@pytest.mark.parametrize(("begun", "continued"), [(4, 4), (4, 1), (1, 4)])
def test_an_interrupted_run_goes_on_in_a_pack_or_alone(
    begun: int, continued: int, zoo: dict[str, Path], command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = (*BRIEF, "method=kl_dp,kl_mcl", DROPS[0], EVERY_EPOCH)
    assert command(*options, "hydra.sweep.dir=undisturbed").code == 0
    keep, kept = EpochCheckpoint.on_train_epoch_end, []

    def leaves(self: EpochCheckpoint, *given: Any) -> None:
        keep(self, *given)
        kept.append(self.file)
        if len(kept) == 3:
            raise Preempted

    with monkeypatch.context() as patch:
        patch.setattr(EpochCheckpoint, "on_train_epoch_end", leaves)
        left = command(*options, f"sweep.pack={begun}", "hydra.sweep.dir=interrupted")
    assert left.code == 75 and kept[-1].exists() and not list(tmp_path.glob("interrupted/*/failure.json"))
    after = command(*options, f"sweep.pack={continued}", "hydra.sweep.dir=interrupted", "resume=true")
    assert after.code == 0, after.err
    assert "Continuing after epoch" in after.out
    assert_same(tmp_path / "undisturbed", tmp_path / "interrupted", 2)


def test_a_run_that_fails_costs_no_other_its_result(zoo: dict[str, Path], command: Command, tmp_path: Path) -> None:
    options = (*BRIEF, "method=kl", "router=none,teacher,most_confident", "optim.lr=1e-3,1e30", "sweep.stop_after=null")
    ended = command(*options, "sweep.pack=8", "hydra.sweep.dir=together")
    assert ended.code == 1 and "4 of the 6 jobs failed" in ended.err
    failures = [read_failure(folder) for folder in tmp_path.glob("together/kl*")]
    assert sorted(each.kind for each in failures if each) == ["not finite", "not finite", "user", "user"]
    assert (
        command(*BRIEF, "method=kl", "router=teacher,most_confident", "optim.lr=1e-3", "hydra.sweep.dir=alone").code
        == 0
    )
    assert_same(tmp_path / "alone", tmp_path / "together", 2)


def test_what_cannot_be_packed_is_named_beforehand(zoo: dict[str, Path], command: Command) -> None:
    said = command(*BRIEF, "method=kl,kl_dp,dml", "sweep.pack=8", "dry_run=true")
    assert said.code == 0, said.err
    packed = "2 runs are trained together, at most 8 at a time; 1 alone (method=dml trains several networks)"
    assert packed in " ".join(said.out.split())
    refused = command(*BRIEF, "method=kl", "sweep.pack=2", "launcher=ray", "dry_run=true")
    assert refused.code == 1


def test_a_worker_of_joblib_trains_a_pack(zoo: dict[str, Path], command: Command, tmp_path: Path) -> None:
    options = (*BRIEF, "method=kl,kl_dp")
    assert command(*options, "hydra.sweep.dir=alone").code == 0
    two = ("launcher=joblib", "launcher.jobs=2", "launcher.cpus_per_job=1")  # one at a time would start no process
    packed = (*options, "sweep.pack=2", *two)
    ended = command(*packed, "data.workers=1", "hydra.sweep.dir=together")  # a worker starts a process that reads
    assert ended.code == 0, ended.err
    assert_same(tmp_path / "alone", tmp_path / "together", 2)
