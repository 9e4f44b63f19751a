"""Sweeps over pairs of models, as typed on the command line."""

import json
from pathlib import Path

import pytest
from conftest import Command, figures

from ktlight.report.plan import read_plan

PAIRS = (
    "experiment=sweep/pairs", "students=[test_vit,test_efficientnet]", "teachers=[test_resnet,test_vit]",
    "methods=[kl,kl_dp]", "data.views=2", "pretrain.epochs=1", "trainer.max_epochs=2",
)  # fmt: skip


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KTLIGHT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.usefixtures("own_cache")
def test_a_sweep_over_pairs(command: Command, tmp_path: Path) -> None:
    ended = command(*PAIRS)
    assert ended.code == 0, ended.err
    (sweep,) = (tmp_path / "runs").glob("pairs-*")
    plan = read_plan(sweep)
    assert plan and sum(job.prepares for job in plan) == 3
    runs = [job for job in plan if not job.prepares]
    asked = {tuple(option for option in job.overrides if option[:4] in ("stud", "teac", "meth")) for job in runs}
    models = [("test_vit", "test_resnet"), ("test_efficientnet", "test_resnet"), ("test_efficientnet", "test_vit")]
    assert asked == {(f"student={s}", f"teacher={t}", f"method={m}") for s, t in models for m in ("kl", "kl_dp")}
    results = {job.folder: (sweep / job.folder / "results.json").read_bytes() for job in plan}

    again = command(*PAIRS[:1], "students=[test_efficientnet,test_vit]", "methods=[kl_dp,kl]", *PAIRS[2:3], *PAIRS[4:])
    assert again.code == 0 and "6 runs in " in again.out and "6 done; 0 to do" in again.out
    assert "Launching" not in again.out and "6 transfers" in again.out
    assert {name: (sweep / name / "results.json").read_bytes() for name in results} == results

    # what was prepared is what the runs look for: nothing is missing when nothing may be added
    job = runs[-1]
    alone = command(*job.overrides, "store=readonly", "resume=false")
    assert alone.code == 0, alone.err
    by_hand = tmp_path / "runs" / "transfer" / job.folder
    assert figures(by_hand) == figures(sweep / job.folder)


def test_models_given_as_mappings_and_from_the_zoo(command: Command, zoo: dict[str, Path], tmp_path: Path) -> None:
    checkpoint = zoo["test_vit"] / "model.safetensors"
    name = "for-the-sweep"
    assert command("task=pretrain", "student=test_vit", f"pretrain.name={name}").code == 0
    ended = command(
        "experiment=sweep/pairs", f"students=[{{name: test_vit, checkpoint: '{checkpoint}', img_size: 32}},zoo:{name}]",
        "teachers=[test_convnext,{name: test_convnext, kwargs: {drop_rate: 0.1}}]", "methods=[kl]",
        "trainer.max_epochs=1", "hydra.sweep.dir=sweep",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    runs = [json.loads(file.read_text()) for file in tmp_path.glob("sweep/kl-*/results.json")]
    assert len(runs) == 4 and len({run["weights_before"] for run in runs}) == 1
    assert {run["models"]["student"]["provenance"]["source"] for run in runs} == {"checkpoint", "zoo"}


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (("students=[test_vit]",), "needs teachers: 'teachers=[resnet50,vit_s]'"),
        (("teachers=[test_vit]",), "needs students: 'students=[resnet50,vit_s]'"),
        (("students=[test_vit]", "teachers=[test_vit]"), "a model does not learn from itself"),
        (("students=test_vit", "teachers=[test_resnet]"), "students=test_vit is no list of models"),
        (("students=[test_vot]", "teachers=[test_resnet]"), "Did you mean test_vit"),
        (("students=[test_vit]", "teachers=[test_resnet]", "methods=[klp]"), "unknown method 'klp'. Did you mean kl"),
        (("students=[test_vit]", "teachers=[test_resnet]", "seeds=[a]"), "seeds=a must be a whole number"),
        (("students=[test_vit]", "teachers=[test_resnet]", "seed=3"), "write 'seeds=[3]'"),
        (("students=[test_vit]", "teachers=[test_resnet]", "method=kl"), "write 'methods=[kl]'"),
        (("teachers=recommend:nowhere",), "there is no such folder"),
        (
            ("students=[test_vit]", "teachers=[test_resnet]", "sweep.retry=all"),
            "sweep.retry=all must be none",
        ),
        (("students=[test_vit]", "teachers=[test_resnet]", "task=evaluate"), "is a sweep of transfers"),
        (("students=[test_vit]", "teachers=[test_resnet]", "student.checkpoint=x"), "says nothing of the models in"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(
    command: Command, tmp_path: Path, typed: tuple[str, ...], message: str
) -> None:
    ended = command("experiment=sweep/pairs", *typed)
    assert ended.code == 1 and message in ended.err and "Traceback" not in ended.err + ended.out, ended.err
    assert len(ended.err.strip().splitlines()) == 1 and not (tmp_path / "runs").exists()


def test_an_experiment_may_not_say_what_its_runs_would_lose(command: Command, tmp_path: Path) -> None:
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    mine = tmp_path / "mine" / "experiment" / "mine.yaml"
    mine.write_text("# @package _global_\ndefaults: [sweep/pairs, _self_]\nrecipe: {epochs: 3}\n")
    typed = ("--config-dir", str(tmp_path / "mine"), "experiment=mine", "students=[test_vit]", "teachers=[test_resnet]")
    ended = command(*typed)
    assert ended.code == 1 and "sets options of the runs (recipe)" in ended.err, ended.err
    mine.write_text(mine.read_text() + "sweep: {experiment: demo}\n")
    ended = command(*typed)
    assert ended.code == 1 and "experiment=mine sets options of the runs (" in ended.err, ended.err


def test_failed_runs_are_listed_whole_and_repeated_on_request(
    zoo: dict[str, Path], command: Command, tmp_path: Path
) -> None:
    typed = (
        "experiment=sweep/pairs", "students=[test_vit]", "teachers=[test_convnext]", "methods=[kl,dml]",
        "router=teacher", "trainer.max_epochs=1", "hydra.sweep.dir=sweep",
    )  # fmt: skip
    ended = command(*typed)
    assert ended.code == 1 and "error: 1 of the" in ended.err and "use it with router=none" in ended.err
    again = command(*typed)
    assert again.code == 1 and "1 done, 1 failed; 0 to do" in again.out and "use it with router=none" in again.err
    retried = command(*typed, "sweep.retry=failed")
    assert retried.code == 1 and "1 done, 1 failed; 1 to do" in retried.out
    (failure,) = (json.loads(file.read_text()) for file in tmp_path.glob("sweep/dml-*/failure.json"))
    assert failure["attempts"] == 2
