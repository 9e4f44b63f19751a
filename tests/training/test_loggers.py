import csv
import json
from pathlib import Path

import pytest
from conftest import Command
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.wandb_records import records

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
    logged = records(run)
    assert logged["results/acc_after"] == json.loads((tmp_path / "run" / "results.json").read_text())["acc_after"]
    assert logged["page/_type"] == logged["figures/curves/_type"] == "html-file"
    assert (run / "files" / logged["page/path"]).read_text() == (tmp_path / "run" / "report.html").read_text()
    assert logged["tables/Models/nrows"] == 2
    import wandb

    assert wandb.run is None  # finished, or the next job of a sweep would write into it
