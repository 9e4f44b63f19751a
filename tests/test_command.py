"""The command as a process of its own, as a user types it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from conftest import Command


def test_the_default_command(zoo: dict[str, Path], start: Callable[..., Any], tmp_path: Path) -> None:
    process = start("trainer.max_epochs=1", "seed=3", "pretrain.seed=0")
    printed, _ = process.communicate(timeout=600)
    assert process.returncode == 0, printed
    (folder,) = (tmp_path / "runs" / "transfer").iterdir()
    results = json.loads((folder / "results.json").read_text())
    assert f"{results['acc_after']:.2f}" in printed and str(folder.relative_to(tmp_path)) in printed
    assert results["seed"] == 3 and results["num_eval"] == 1437
    assert {path.name for path in folder.iterdir()} == {
        ".hydra", ".lock", "config.yaml", "curves.csv", "environment.json", "predictions.parquet", "results.json",
        "report.html", "run.log", "student",
    }  # fmt: skip
    assert json.loads((folder / "environment.json").read_text())["command"][1:3] == ["trainer.max_epochs=1", "seed=3"]


def test_the_folder_follows_from_what_is_computed(zoo: dict[str, Path], command: Command, tmp_path: Path) -> None:
    """So the same command resumes in the same folder, whatever it shows and whoever decodes."""
    options = ["trainer.max_epochs=1", "optim.lr=0.01"]
    for more in ([], ["resume=true"], ["resume=true", "data.workers=0"], ["resume=true", "logger=tensorboard"]):
        ended = command(*options, *more)
        assert ended.code == 0, ended.err
    assert len(list((tmp_path / "runs" / "transfer").iterdir())) == 1
    assert command(*options, "seed=1").code == 0
    assert len(list((tmp_path / "runs" / "transfer").iterdir())) == 2
