"""Advice on the digits: what it writes, what it learns from finished runs, and what it refuses."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from conftest import Command, figures

COLUMNS = [
    "rank", "teacher", "method", "expected_delta", "ci95_low", "ci95_high", "probability_of_gain", "forward_passes",
    "seconds", "reason",
]  # fmt: skip
ASK = [
    "task=recommend", "student=test_vit", "models=[test_convnext,test_resnet]", "methods=[kl,kl_dp]",
    "recommend.steps=20",
]  # fmt: skip
HELD_OUT = ["data.holdout=0.2", "trainer.max_epochs=1"]


@pytest.fixture(scope="module")
def runs(run_in: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three finished transfers, one of them of another kind, and a folder that is none."""
    done = [
        run_in("runs", *HELD_OUT, f"student={student}", f"teacher={teacher}", f"method={method}")
        for student, teacher, method in (
            ("test_vit", "test_convnext", "kl_dp"),
            ("test_convnext", "test_vit", "kl"),
        )
    ]
    other = [
        run_in("others", *HELD_OUT, "method=kl", "method.temperature=4"),
        run_in("others", *HELD_OUT, "transfer.part=head"),
        run_in("others", "trainer.max_epochs=1"),
    ]
    folder = tmp_path_factory.mktemp("all")
    for number, path in enumerate([*done, *other]):
        (folder / f"run{number}").symlink_to(path)
    broken = folder / "broken"
    broken.mkdir()
    (broken / "results.json").write_text('{"task": "transfer"')
    return folder


@pytest.fixture(scope="module")
def advice(runs: Path, run_in: Callable[..., Path]) -> Path:
    return run_in("advice", *ASK, f"recommend.runs={runs}/*", "recommend.learn_from=1")


def rows(folder: Path, name: str) -> list[dict[str, Any]]:
    return pq.read_table(folder / f"{name}.parquet").to_pylist()


def test_the_list_has_every_candidate_and_doing_nothing(advice: Path) -> None:
    table = pq.read_table(advice / "recommendations.parquet")
    assert table.column_names == COLUMNS
    found = table.to_pylist()
    assert [row["rank"] for row in found] == [1, 2, 3, 4, 5]
    assert {(row["teacher"], row["method"]) for row in found} == {
        ("test_convnext", "kl"), ("test_convnext", "kl_dp"), ("test_resnet", "kl"), ("test_resnet", "kl_dp"),
        (None, "do nothing"),
    }  # fmt: skip
    expected = [row["expected_delta"] for row in found]
    assert expected == sorted(expected, reverse=True)
    for row in found:
        assert row["ci95_low"] <= row["expected_delta"] <= row["ci95_high"] and row["reason"]
        assert (row["probability_of_gain"] > 0.5) == (row["expected_delta"] > 0)


def test_scores_and_costs(advice: Path) -> None:
    scores = {(row["teacher"], row["method"]): row for row in rows(advice, "scores")}
    for row in scores.values():
        # flips and accuracies are of the same 72 held-out images
        assert row["acc_difference"] == pytest.approx(row["positive_flips"] - row["negative_flips"])
        assert row["probe"] * 72 / 100 == pytest.approx(round(row["probe"] * 72 / 100))
        assert row["headroom"] >= row["acc_difference"] - 1e-9  # no router here chooses worse than the teacher
    for row in rows(advice, "recommendations"):
        if row["teacher"] is None:
            assert (row["forward_passes"], row["seconds"]) == (0, 0)
            continue
        # 288 images; by the recipe 60 epochs of 5 steps; kl asks the teacher, kl_dp the initial student too
        assert row["forward_passes"] == 288 * 60 * (3 + 1 + (row["method"] == "kl_dp"))
        assert row["seconds"] > 0


def test_what_finished_runs_say(advice: Path) -> None:
    known = rows(advice, "finished")
    assert {(row["student"], row["teacher"], row["method"]) for row in known} == {
        ("test_vit", "test_convnext", "kl_dp"), ("test_convnext", "test_vit", "kl"),
    }  # fmt: skip
    for row in known:
        assert row["delta"] == figures(Path(row["folder"]))["transfer_delta"]
    log = (advice / "run.log").read_text()
    for reason in ("its method has other options", "into the whole student", "has data.holdout=0", "is no JSON"):
        assert reason in log
    results = figures(advice)
    assert results["finished_runs"] == 2 and "fitted on 1 finished runs of other students" in results["basis"]
    verdicts = rows(advice, "evaluation")
    assert {row["left_out"] for row in verdicts} == {"student", "teacher"}
    static = next(row for row in verdicts if row["score"] == "static")
    assert static["runs"] == 2 and static["students"] == 2


def test_the_command_uses_the_models_that_were_compared(advice: Path, command: Command, tmp_path: Path) -> None:
    found, results = rows(advice, "recommendations"), figures(advice)
    best = found[0]
    if best["teacher"] is None:
        assert results["command"] is None
        best = found[1]
        results["command"] = f"python run.py student=test_vit teacher={best['teacher']} data.holdout=0.2"
    words = shlex.split(results["command"])
    assert words[:2] == ["python", "run.py"] and "data.holdout=0.2" in words
    ended = command(*words[2:], "trainer.max_epochs=1", "hydra.run.dir=run")
    assert ended.code == 0, ended.err
    assert figures(tmp_path / "run")["weights_before"] == results["models"]["student"]["weights"]


def test_the_same_again_gives_the_same(advice: Path, runs: Path, command: Command, tmp_path: Path) -> None:
    ended = command(*ASK, "hydra.run.dir=again")
    assert ended.code == 0, ended.err
    assert "who should teach test_vit on digits" in ended.out and "the head probe" in ended.out
    shown = ended.out[ended.out.index("who should") : ended.out.index("folder")]
    assert max(map(len, shown.splitlines())) <= 80
    first, again = (rows(folder, "scores") for folder in (advice, tmp_path / "again"))
    for one, two in zip(first, again, strict=True):
        assert {**one, "probe_seconds": 0} == {**two, "probe_seconds": 0}
    assert not (tmp_path / "again" / "evaluation.parquet").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["models=[test_convnext,test_vit]"], "test_vit in models=[...] is the student itself: leave it out"),
        (["models=[]"], "task=recommend needs possible teachers"),
        (["methods=[kl,kl_pd]"], "unknown method 'kl_pd'. Did you mean kl_dp"),
        (["methods=[kl,kl]"], "the method kl is given twice"),
        (["methods=[]"], "methods must be a list of methods"),
        (["methods=[cd]"], "method=cd moves the features, which come before the head, so the head probe says nothing"),
        (["methods=[dml]"], "method=dml runs several networks on the same images"),
        (["methods=[label_smoothing]"], "method=label_smoothing learns from no teacher, so there is none to recommend"),
        (
            ["router.expertise=true"],
            "with method=kl: Could not override 'router.expertise'; leave the option or the method out",
        ),
        (["router=pooled"], "learns from data.holdout's images"),
        (["router=margin", "router.expertise=true"], "learns from data.holdout's images"),
        (["router=calibrated"], "learns from data.holdout's images, on which a probe is measured"),
        (["data.holdout=0"], "No training images are held out: set data.holdout"),
        (["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"], "in one process: use trainer.devices=1"),
        (["store=off"], "task=recommend asks every model once and keeps the answers: use store=auto"),
        (["recommend.runs=nowhere/*"], "recommend.runs=nowhere/*: there is no such folder"),
    ],
)
def test_refused(options: list[str], says: str, advice: Path, command: Command, tmp_path: Path) -> None:
    ended = command(*ASK, *options, "hydra.run.dir=run")
    assert ended.code == 1 and says in ended.err and ended.err.count("\n") == 1
    assert not (tmp_path / "run" / "results.json").exists()


def test_one_teacher_is_enough(advice: Path, command: Command, tmp_path: Path) -> None:
    assert command(*ASK, "models=[test_resnet]", "hydra.run.dir=run").code == 0
    assert len(rows(tmp_path / "run", "recommendations")) == 3
