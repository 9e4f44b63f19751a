import csv
import json
from pathlib import Path

import pytest
from conftest import Command
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ktlight.config.model_source import register_models
from ktlight.config.overrides import check_overrides
from ktlight.config.resolvers import register_resolvers
from ktlight.report.folder import RunFolder
from ktlight.training.loggers import wandb_id
from tests.wandb_records import records, started, summary

QUICK = ["method=kl_dp", "trainer.max_epochs=1", "trainer.check_val_every_n_epoch=1", "hydra.run.dir=run"]


def test_tensorboard_gets_the_curves_and_the_results(zoo: dict[str, Path], command: Command, tmp_path: Path) -> None:
    ended = command(*QUICK, "logger=tensorboard")
    assert ended.code == 0, ended.err
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    (row,) = csv.DictReader((tmp_path / "run" / "curves.csv").open(newline=""))
    assert events.Scalars("results/acc_after")[-1].value == pytest.approx(results["acc_after"])
    for name in ("train/loss", "val/acc", "share/teacher"):
        assert events.Scalars(name)[-1].value == pytest.approx(float(row[name]))


def test_wandb_runs_offline_and_says_how_to_sync(zoo: dict[str, Path], command: Command, tmp_path: Path) -> None:
    ended = command(*QUICK, "logger=wandb")
    assert ended.code == 0, ended.err
    (run,) = (tmp_path / "run" / "wandb").glob("offline-run-*")
    assert list(run.glob("*.wandb"))
    assert "wandb sync" in ended.out
    logged, told = records(run), summary(run)
    assert (told["state"], told["status"], told["method"], told["teacher"]) == ("done", 0, "kl_dp", "test_convnext")
    assert told["difference"] == told["acc_teacher"] - told["acc_before"]
    assert told["better"] == (told["transfer_delta"] > 0)
    assert told["acc_after"] == json.loads((tmp_path / "run" / "results.json").read_text())["acc_after"]
    assert logged["page/_type"] == logged["figures/curves/_type"] == "html-file"
    assert (run / "files" / logged["page/path"]).read_text() == (tmp_path / "run" / "report.html").read_text()
    assert logged["tables/Models/nrows"] == 2
    import wandb

    assert wandb.run is None  # finished, or the next job of a sweep would write into it


def test_wandb_knows_the_run_of_a_folder_by_one_id(tmp_path: Path) -> None:
    register_models()
    register_resolvers()
    folder = RunFolder(tmp_path)

    def begun(*options: str) -> str:
        config = check_overrides([*options, "logger=wandb"])
        folder.path.joinpath("wandb_id.txt").write_text(wandb_id(folder, config))
        return folder.path.joinpath("wandb_id.txt").read_text()

    first = begun()
    assert begun() == begun("resume=true") == begun("data=digits", "page.images=false") == first
    other = begun("seed=1")
    assert other != first
    folder.path.joinpath("wandb_id.txt").unlink()
    assert begun("seed=1") not in (first, other)  # elsewhere, the same run is another


def test_wandb_is_told_why_a_run_failed(
    zoo: dict[str, Path], command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: object) -> None:
        raise RuntimeError("CUDA out of memory: 40 GB")

    monkeypatch.setattr("ktlight.tasks.transfer.train", fail)
    ended = command("-m", *QUICK[:-1], "hydra.sweep.dir=sweep", "logger=wandb")
    assert ended.code == 1
    runs = list((tmp_path / "sweep").glob("*/wandb/offline-run-*"))
    assert len(runs) == 2 and len({started(run).run_id for run in runs}) == 1  # with a full memory it is tried again
    for run in runs:
        told = summary(run)
        assert (told["state"], told["kind"], told["status"]) == ("failed", "memory", 1)
        assert "the memory is full" in told["message"]
        assert started(run).run_group == "sweep"


def test_a_failure_of_wandb_fails_no_run(
    zoo: dict[str, Path], command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import wandb

    def fail(self: object, *given: object, **more: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(wandb.Run, "log", fail)
    ended = command(*QUICK, "logger=wandb")
    assert ended.code == 0 and ended.out.count("No space left on device") == 1, ended.out
    assert (tmp_path / "run" / "results.json").exists() and wandb.run is None
