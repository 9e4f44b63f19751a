"""Several teachers: the schedules, checked against what their parts do alone."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from conftest import Command
from safetensors.torch import load_file

from ktlight.errors import UserError
from ktlight.stages.schedule import ordered, stage_epochs

TWO = "teachers=[test_convnext,test_resnet]"
BRIEF = "trainer.max_epochs=1"


@pytest.fixture(scope="module")
def folders(zoo: dict[str, Path], run_in: Callable[..., Path]) -> dict[str, Path]:
    runs = {
        "sequential": [TWO, "schedule=sequential", "schedule.order=desc", BRIEF],
        "parallel": [TWO, "schedule=parallel", BRIEF],
        "soup": [TWO, "schedule=soup", BRIEF],
        "convnext": ["teacher=test_convnext", BRIEF],
        "resnet": ["teacher=test_resnet", BRIEF],
        "twins": ["teachers=[test_convnext,{name: test_convnext, checkpoint: TWIN}]", BRIEF],
    }
    twin = zoo["test_convnext"]
    return {name: run_in(name, *[option.replace("TWIN", str(twin)) for option in runs[name]]) for name in runs}


def results_of(folder: Path) -> dict[str, Any]:
    results: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return results


def columns_of(folder: Path) -> dict[str, np.ndarray]:
    table = pq.read_table(folder / "predictions.parquet")
    return {name: table[name].to_numpy() for name in table.column_names}


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "student" / "model.safetensors")


def test_in_a_sequence_each_stage_starts_where_the_last_one_ended(folders: dict[str, Path]) -> None:
    results, columns = results_of(folders["sequential"]), columns_of(folders["sequential"])
    first, second = results["stages"]
    accuracies = {name: results_of(folders[name])["acc_teacher"] for name in ("convnext", "resnet")}
    best = max(accuracies, key=accuracies.__getitem__)
    assert [first["teacher"], second["teacher"]] == [f"test_{best}", f"test_{({'convnext', 'resnet'} - {best}).pop()}"]
    np.testing.assert_array_equal(columns["after_stage1"], columns_of(folders[best])["after"])  # as it alone would
    np.testing.assert_array_equal(columns["after_stage2"], columns["after"])
    label = columns["label"]
    right = {name: 100 * (columns[name] == label).mean() for name in ("before", "after_stage1", "after")}
    assert first["transfer_delta"] == pytest.approx(right["after_stage1"] - right["before"])
    assert second["transfer_delta"] == pytest.approx(right["after"] - right["after_stage1"])
    assert second["overall_delta"] == pytest.approx(results["transfer_delta"])
    assert results["epochs"] == 2
    assert (folders["sequential"] / "stages" / "2-teacher1" / "curves.csv").exists() or best == "convnext"


def test_the_last_stage_is_a_transfer_from_the_student_of_the_first(
    folders: dict[str, Path], command: Command, tmp_path: Path
) -> None:
    first, second = (stage["teacher"].removeprefix("test_") for stage in results_of(folders["sequential"])["stages"])
    checkpoint = folders[first] / "student"
    ended = command(f"teacher=test_{second}", BRIEF, f"student.checkpoint={checkpoint}", "hydra.run.dir=run")
    assert ended.code == 0, ended.err
    torch.testing.assert_close(weights_of(tmp_path / "run"), weights_of(folders["sequential"]), rtol=0, atol=0)


def test_a_uniform_soup_is_the_mean_of_the_single_students(folders: dict[str, Path]) -> None:
    singles = [weights_of(folders[name]) for name in ("convnext", "resnet")]
    for name, weights in weights_of(folders["soup"]).items():
        expected = (singles[0][name].double() + singles[1][name].double()) / 2
        torch.testing.assert_close(weights.double(), expected, rtol=1e-6, atol=1e-8)
    results = results_of(folders["soup"])
    assert results["average"] == {"teacher1": 0.5, "teacher2": 0.5}
    singles_acc = [results_of(folders[name])["acc_after"] for name in ("convnext", "resnet")]
    assert [stage["acc_after"] for stage in results["stages"]] == pytest.approx(singles_acc)


@pytest.mark.parametrize(
    ("singles", "mixed", "kept"),
    [((60.0, 50.0), 60.0, (0.5, 0.5)), ((60.0, 50.0), 59.0, (1.0, 0.0)), ((50.0, 60.0), 59.0, (0.0, 1.0))],
)
def test_a_greedy_soup_keeps_what_does_not_hurt_on_held_out_images(
    singles: tuple[float, ...], mixed: float, kept: tuple[float, ...], zoo: dict[str, Path], command: Command,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from ktlight.stages import schedule
    from ktlight.stages.averaging import HeldOut, Score

    scores = iter([*singles, mixed])
    nothing = torch.zeros(0)
    monkeypatch.setattr(schedule, "held_out", lambda *_: HeldOut(Score(next(scores), 0.0), nothing, nothing))
    options = [TWO, "schedule=soup", "schedule.average=greedy", "data.holdout=0.2", BRIEF, "hydra.run.dir=run"]
    assert command(*options).code == 0
    results, columns = results_of(tmp_path / "run"), columns_of(tmp_path / "run")
    assert tuple(results["average"].values()) == kept and results["num_train"] == 288
    if 1.0 in kept:
        np.testing.assert_array_equal(columns["after"], columns[f"after_stage{1 + kept.index(1.0)}"])
    assert next(scores, None) is None


def test_two_identical_teachers_are_one(folders: dict[str, Path]) -> None:
    torch.testing.assert_close(weights_of(folders["twins"]), weights_of(folders["convnext"]), rtol=0, atol=0)
    twins, alone = results_of(folders["twins"]), results_of(folders["convnext"])
    assert twins["transfer_delta"] == alone["transfer_delta"] and twins["teacher_share"] == alone["teacher_share"]


@contextmanager
def second_stage_fails(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Let the second stage of a schedule fail within the block; yield the calls."""
    from ktlight.stages import schedule

    learn: Any = schedule.learn
    calls: list[Any] = []

    def interrupted(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 2:
            raise UserError("the power went")
        return learn(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(schedule, "learn", interrupted)
        yield calls


def test_a_sequence_interrupted_between_its_stages_goes_on(
    folders: dict[str, Path], command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = [TWO, "schedule=sequential", "schedule.order=desc", BRIEF, "hydra.run.dir=run"]
    with second_stage_fails(monkeypatch):
        assert command(*options).code == 1
    assert command(*options, "resume=true").code == 0
    resumed, undisturbed = results_of(tmp_path / "run"), results_of(folders["sequential"])
    assert resumed | {"seconds": undisturbed["seconds"]} == undisturbed


def test_teachers_in_the_order_asked_for() -> None:
    accuracy = {"teacher1": 50.0, "teacher2": 70.0, "teacher3": 60.0, "teacher4": 50.0}
    roles = list(accuracy)
    assert ordered(roles, "asc", accuracy, 0) == ["teacher1", "teacher4", "teacher3", "teacher2"]
    assert ordered(roles, "desc", accuracy, 0) == ["teacher2", "teacher3", "teacher1", "teacher4"]
    assert ordered(roles, "given", accuracy, 0) == roles
    orders = {tuple(ordered(roles, "random", accuracy, seed)) for seed in range(20)}
    assert len(orders) > 5 and all(sorted(order) == roles for order in orders)
    assert ordered(roles, "random", accuracy, 3) == ordered(roles, "random", accuracy, 3)


@pytest.mark.parametrize(("total", "stages", "expected"), [(None, 2, [6, 6]), (6, 2, [3, 3]), (7, 3, [3, 2, 2])])
def test_a_budget_is_dealt_to_the_stages(total: int | None, stages: int, expected: list[int]) -> None:
    assert stage_epochs(total, 6, stages) == expected


def test_a_budget_too_small_is_refused() -> None:
    with pytest.raises(UserError, match=r"schedule\.total_epochs=1 .*each of the 2 teachers"):
        stage_epochs(1, 6, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["schedule=sequential"], "schedule=sequential needs a list of teachers"),
        (["schedule=soup", "teachers=[]"], "schedule=soup needs a list of teachers"),
        (["teachers=[test_convnext,test_convnext]"], "test_convnext is given twice"),
        (["teachers=[test_convnxt]"], "test_convnext"),
        (["teachers=[{checkpoint: x}]"], "neither a model name nor a mapping"),
        (["teachers=[{name: test_vit, size: 3}]"], "no option 'size'"),
        (["teacher=[test_vit,test_resnet]"], "teachers=[test_vit,test_resnet]"),
        ([TWO, "schedule=soup", "schedule.average=greedy", "data.holdout=0", BRIEF], "data.holdout"),
        (["method=kdcl", "method.rule=general", "data.holdout=0"], "data.holdout"),
        (["method=ensemble", TWO, "schedule=soup"], "use schedule=parallel"),
        (["method=kdcl", "optim.peers=[{lr: 0.1},{lr: 0.2}]"], "optim.peers has 2 entries"),
        (["method=kdcl", "optim.peers=[{rate: 0.1}]"], "no option 'rate'"),
        (["method=dml", TWO, "schedule=soup", "optim.peers=[{lr: 0.1},{lr: 0.2}]"], "optim.peers has 2 entries"),
        (["method=dml", "optim.peers=[{lr: abc}]"], "optim.peers[0].lr=abc must be"),
        (["method=dml", "optim.peers=[{lr: -1}]"], "optim.peers[0].lr=-1 must be"),
        (["method=dml", "optim.peers=[0.1]"], "must be a list of mappings"),
        (["method=kl", TWO], "router=teacher takes one teacher"),
        (["method=xe_kl_mcl", TWO], "compares the student with one teacher"),
        ([TWO, "schedule=soup", "schedule.total_epochs=1"], "less than an epoch for each"),
        (["method=ensemble", "method.rule=naive"], "unknown method.rule 'naive': choose most_confident or mean"),
        (["router=calibrated", "data.evaluate_on=holdout"], "the router decides on data.holdout's images"),
    ],
)
def test_what_cannot_work_is_refused(
    options: list[str], message: str, zoo: dict[str, Path], command: Command, tmp_path: Path
) -> None:
    ended = command(*options, "hydra.run.dir=run")
    assert ended.code == 1 and message in ended.err and "Traceback" not in ended.err
    assert not (tmp_path / "run" / "results.json").exists()


def test_networks_that_all_learn_are_all_reported_and_exported(
    zoo: dict[str, Path], command: Command, tmp_path: Path
) -> None:
    peers = "optim.peers=[{lr: 0.0},{lr: 0.01, optimizer: {_target_: torch.optim.AdamW}}]"
    ended = command("method=dml", TWO, peers, BRIEF, "hydra.run.dir=run")
    assert ended.code == 0, ended.err
    results, columns = results_of(tmp_path / "run"), columns_of(tmp_path / "run")
    for role in ("teacher1", "teacher2"):
        right = [(columns[name] == columns["label"]).mean() for name in (role, f"{role}_after")]
        assert results[f"{role}_transfer_delta"] == pytest.approx(100 * (right[1] - right[0]))
        assert (tmp_path / "run" / role / "model.safetensors").exists()
    still = load_file(zoo["test_convnext"] / "model.safetensors")
    after = load_file(tmp_path / "run" / "teacher1" / "model.safetensors")
    torch.testing.assert_close(after, still, rtol=0, atol=0)  # its learning rate is 0
    assert (columns["teacher2"] != columns["teacher2_after"]).any()


@pytest.mark.parametrize(
    "error",
    [MemoryError(), torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
     RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried to")],
)  # fmt: skip
def test_more_teachers_than_memory_says_what_to_do(
    error: Exception, zoo: dict[str, Path], command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ktlight.models.sources import LiveSource

    def full(*arguments: Any) -> torch.Tensor:
        raise error

    monkeypatch.setattr(LiveSource, "logits", full)
    ended = command(TWO, "store=off", BRIEF, "hydra.run.dir=run")
    assert ended.code == 1 and "the memory is full" in ended.err and "fewer teachers" in ended.err
    assert "Traceback" not in ended.err


def test_teachers_that_do_not_learn_are_in_memory_once(
    zoo: dict[str, Path], command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ktlight.models.classifier import Classifier

    copied: list[str] = []
    frozen_copy = Classifier.frozen_copy

    def noted(self: Classifier) -> Classifier:
        twin = frozen_copy(self)
        if twin is not self:
            copied.append(self.name)
        return twin

    monkeypatch.setattr(Classifier, "frozen_copy", noted)
    assert command(TWO, "schedule=sequential", BRIEF, "hydra.run.dir=run").code == 0
    assert set(copied) == {"test_vit"}


@pytest.mark.parametrize(
    "options",
    [
        ["method=kdcl", "guard=wise", "guard.steps=1"],
        ["method=dml", TWO, "schedule=sequential", "method.own_views=true"],
        ["method=dml", "optim.peers=[{optimizer: {momentum: 0.5}}]"],
        ["method=kl", TWO, "schedule=sequential", "schedule.order=asc", "data.holdout=0.2"],
    ],
)
def test_what_goes_together_runs(options: list[str], zoo: dict[str, Path], command: Command, tmp_path: Path) -> None:
    ended = command(*options, BRIEF, "hydra.run.dir=run")
    assert ended.code == 0, ended.err
    assert not list((tmp_path / "run").rglob("*.ckpt"))


def test_another_config_does_not_continue_the_stages_of_a_run(
    zoo: dict[str, Path], command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = [TWO, "schedule=sequential", BRIEF, "hydra.run.dir=run"]
    with second_stage_fails(monkeypatch) as calls:
        assert command(*options).code == 1
    ended = command(*options, "method=kl_dp_unsup", "resume=true")
    assert ended.code == 1 and "another config" in ended.err and len(calls) == 2
