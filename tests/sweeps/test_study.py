"""The study of docs/results.md: what its two commands plan, and that its runs are those typed by hand."""

from pathlib import Path

import pytest
import timm
from conftest import Command
from hydra.types import RunMode

from ktlight.sweeps.naming import folder_names
from ktlight.sweeps.pairs import PairRun, check_experiment, of_the_runs, pair_runs
from tests.sweeps.conftest import MakeLoader

DATA = "data.train=/images/tinyimagenet100-train.parquet", "data.val=/images/tinyimagenet100-val.parquet"


def runs_of(loader: MakeLoader, study: str) -> tuple[list[PairRun], list[str]]:
    typed = [f"experiment=study/{study}"]
    fast = loader(*typed)
    config = fast.load_configuration("config", typed, RunMode.MULTIRUN)
    runs = pair_runs(config, fast, [of_the_runs(typed, config)])
    check_experiment(config, fast, typed, runs[0])
    return runs, folder_names(fast, [run.overrides for run in runs])


def test_the_study_of_models_trained_here(loader: MakeLoader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYIMAGENET100", "/images")
    runs, names = runs_of(loader, "trained")
    of_kl = [(run.student.name, run.teachers[0].name) for run in runs if str(run.method) == "kl"]
    students = {student for student, _ in of_kl}
    assert len(set(of_kl)) == 16 and len(students) == 8 and students <= set(timm.list_models())
    assert all(each.img_size == 32 for run in runs for each in run.models.values())
    assert len(set(names)) == len(names)
    models = [f"student={runs[0].student.name}", f"teacher={runs[0].teachers[0].name}"]
    typed = [
        "data=parquet", "data.name=tinyimagenet100", *DATA, "data.class_names=/images/classes.json", "data.canvas=32",
        "data.holdout=0.1", "data.views=12", "student.img_size=32", "teacher.img_size=32", "pretrain.epochs=30",
        "pretrain.seed=0", "guard=wise", "method=kl", "seed=1", *models,
    ]  # fmt: skip
    fast = loader()
    setting = fast.composed(["experiment=study/setting_trained"])
    typed += [f"trainer.max_epochs={setting.trainer.max_epochs}", f"recipe.lr.adamw={setting.recipe.lr.adamw}"]
    assert folder_names(fast, [typed])[0] in names
    by_setting = ["experiment=study/setting_trained", "method=kl", "seed=1", *models]
    assert folder_names(fast, [by_setting])[0] in names


def test_the_study_of_imagenets_weights(loader: MakeLoader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGENET_WEIGHTS", "/weights")
    runs, names = runs_of(loader, "pretrained")
    assert len(set(names)) == len(names)
    strong = {f"tf_efficientnet_lite{size}" for size in range(3)}
    assert {run.student.name for run in runs} == strong
    for model in (each for run in runs for each in run.models.values()):
        assert (model.checkpoint, model.img_size) == (
            (f"/weights/{model.name}.safetensors", 96) if model.name in strong else (None, 32)
        )
    fast = loader()
    data = fast.composed(["experiment=study/setting_pretrained"]).data
    assert (data.name, data.canvas, data.fraction, data.holdout) == ("tinyimagenet100_quarter", 96, 0.25, 0.1)


@pytest.mark.parametrize("study", ["trained", "pretrained"])
def test_a_dry_run_in_a_clone_with_nothing_else(command: Command, tmp_path: Path, study: str) -> None:
    ended = command(f"experiment=study/{study}", "dry_run=true")
    assert ended.code == 0, ended.err
    folder = "runs/study/" + study
    assert f"runs in {folder}: " in ended.out and "method " in ended.out and "to do\n" in ended.out
    assert "store   not known, nor is the time: No file" in ended.out and "models  " in ended.out
    assert max(map(len, ended.out.splitlines()[1:])) <= 80
    assert not (tmp_path / "runs").exists()
