"""A teacher of other classes does in every task, schedule and method what one with the data's classes does."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import safetensors.torch
import torch
from conftest import Command
from safetensors.torch import load_file, save_file
from torch import Tensor

WIDER = [7, -1, 2, 9, 0, 5, -1, 1, 3, 8, 6, 4, -1]  # the digit of each class of the foreign teacher
LACKING = [7, -1, 2, 9, 0, 5, -1, 1]  # no class is 3, 4, 6 or 8
QUICK = ("student=test_vit", "teacher=test_convnext", "trainer.max_epochs=1")


def in_classes(folder: Path, name: str, classes: list[int], trained: Path) -> list[str]:
    """Write a model of the digits with its head's rows in other classes, and its map; return the options of a teacher.

    Classes that are no digit have a row of zeros and a low bias: next to no probability, but not none.
    """
    state = load_file(trained / "model.safetensors")
    layer = {"weight": state["head.fc.weight"], "bias": state["head.fc.bias"]}
    for key, tensor in layer.items():
        none = torch.full_like(tensor[0], -6.0 if key == "bias" else 0.0)
        state[f"head.fc.{key}"] = torch.stack([tensor[y] if y >= 0 else none for y in classes])
    save_file(state, folder / f"{name}.safetensors")
    rows = [f"{z},{y}" for z, y in enumerate(classes) if y >= 0]
    (folder / f"{name}.csv").write_text("\n".join(["model_class,class", *rows]) + "\n")
    return [f"checkpoint={folder}/{name}.safetensors", f"label_map={folder}/{name}.csv", "img_size=32", "crop_pct=1"]


@pytest.fixture
def foreign(zoo: dict[str, Path], tmp_path: Path) -> list[str]:
    return [f"teacher.{option}" for option in in_classes(tmp_path, "wider", WIDER, zoo["test_convnext"])]


@pytest.fixture
def lacking(zoo: dict[str, Path], tmp_path: Path) -> list[str]:
    return [f"teacher.{option}" for option in in_classes(tmp_path, "lacking", LACKING, zoo["test_convnext"])]


@pytest.fixture
def results(command: Command, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Run a command that must succeed, and return its results."""

    def run(name: str, *arguments: str) -> dict[str, Any]:
        ended = command(*arguments, f"hydra.run.dir={tmp_path}/{name}")
        assert ended.code == 0, ended.err
        found: dict[str, Any] = json.loads((tmp_path / name / "results.json").read_text())
        return found

    return run


def student(folder: Path) -> dict[str, Tensor]:
    return safetensors.torch.load_file(folder / "student" / "model.safetensors")


def same_numbers(first: Path, second: Path) -> bool:
    ours, theirs = student(first), student(second)
    return all(torch.allclose(ours[key], theirs[key], atol=2e-3, rtol=1e-2) for key in ours)


OPTIONS = {
    "kl_dp": ["method=kl_dp", "optim=sgd"],
    "guard": ["method=kl_dp", "guard=wise", "guard.steps=2", "optim=sgd"],
    "calibrated": ["method=kl_dp", "router=calibrated", "optim=sgd"],
    "dkd": ["method=dkd", "optim=sgd"],
    "features": ["method=fitnet", "optim=sgd"],
    "head": ["method=kl_dp", "transfer.part=head"],
    "kdcl frozen": ["method=kdcl", "method.update_teacher=false", "optim=sgd"],
}


@pytest.mark.parametrize("name", OPTIONS)
def test_a_mapped_teacher_teaches_what_one_in_the_data_s_classes_does(
    name: str, foreign: list[str], zoo: dict[str, Path], results: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    straight = ["teacher.img_size=32", "teacher.crop_pct=1", f"teacher.checkpoint={zoo['test_convnext']}"]
    mapped, plain = (
        results(folder, *QUICK, *OPTIONS[name], *teacher)
        for folder, teacher in (("mapped", foreign), ("plain", straight))
    )
    assert mapped["acc_teacher"] == plain["acc_teacher"] > 50
    assert mapped["acc_after"] == pytest.approx(plain["acc_after"], abs=0.3)
    assert mapped["teacher_share"] == pytest.approx(plain["teacher_share"], abs=0.3) or name == "kdcl frozen"
    assert same_numbers(tmp_path / "mapped", tmp_path / "plain")


@pytest.mark.parametrize("method", ["kdcl", "dml", "bikd"])
def test_networks_that_learn_together_have_heads_for_these_classes(
    method: str, foreign: list[str], results: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    found = results(method, *QUICK, *foreign, f"method={method}")
    exported = load_file(tmp_path / method / "teacher" / "model.safetensors")
    assert len(exported["head.fc.weight"]) == 10 and found["models"]["teacher"]["labels"]["sliced"]
    assert found["acc_teacher"] > 50


def test_the_initial_student_speaks_for_missing_classes(
    lacking: list[str], results: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    found = results("kl", *QUICK, *lacking, "method=kl", "teacher.labels=file")
    assert set(found["models"]["teacher"]["labels"]["missing"]) == {"3", "4", "6", "8"}
    columns = pq.read_table(tmp_path / "kl" / "predictions.parquet").to_pydict()
    assert not {3, 4, 6, 8} & set(columns["teacher"]), "a mapped teacher never predicts a class that it lacks"
    routed = results("kl_dp", *QUICK, *lacking, "method=kl_dp", "teacher.labels=file", "optim=sgd")
    assert routed["acc_after"] >= routed["acc_before"] - 1
    columns = pq.read_table(tmp_path / "kl_dp" / "predictions.parquet").to_pydict()
    assert {3, 4, 6, 8} <= set(columns["after"]), "a student that keeps these samples still knows their classes"


def test_without_a_router_a_frozen_teacher_that_lacks_classes_is_sliced(
    lacking: list[str], results: Callable[..., dict[str, Any]]
) -> None:
    frozen = ("method=kdcl", "method.update_teacher=false", "method.rule=linear")
    found = results("kdcl", *QUICK, *lacking, *frozen, "teacher.labels=file")
    assert found["models"]["teacher"]["labels"]["sliced"] and found["transfer_delta"] > 0


@pytest.mark.parametrize("schedule", ["sequential", "soup"])
def test_teachers_of_different_classes_in_turn(
    schedule: str, foreign: list[str], zoo: dict[str, Path], results: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    own = ",".join(option.removeprefix("teacher.").replace("=", ":", 1) for option in foreign)
    second = f"name:test_convnext,checkpoint:{zoo['test_convnext']},img_size:32,crop_pct:1"
    teachers = f"teachers=[{{name:test_convnext,{own}}},{{{second}}}]".replace(":", ": ")
    found = results(schedule, "student=test_vit", teachers, f"schedule={schedule}", "trainer.max_epochs=1")
    said = [found["models"][role] for role in ("teacher1", "teacher2")]
    assert [model["labels"]["how"] for model in said] == ["file", "same"]
    columns = pq.read_table(tmp_path / schedule / "predictions.parquet")
    assert columns["teacher1"].equals(columns["teacher2"])


def test_one_stored_entry_serves_every_label_space(
    foreign: list[str], tmp_path: Path, command: Command, results: Callable[..., dict[str, Any]], monkeypatch: Any
) -> None:
    stored = [*QUICK, *foreign, "method=kl_dp", "data.views=1", "store=fill"]
    results("filled", *stored)
    swapped = (tmp_path / "wider.csv").read_text().replace("7,1\n", "7,3\n").replace("8,3\n", "8,1\n")
    (tmp_path / "swapped.csv").write_text(swapped)
    other = [option.replace("wider.csv", "swapped.csv") for option in stored]
    read = results("read", *other[:-1], "store=readonly")  # nothing is computed for another map
    live = results("live", *other[:-1], "store=off")
    assert read["acc_teacher"] == live["acc_teacher"] < results("filled", *stored)["acc_teacher"]
    assert read["weights_after"] == live["weights_after"]


def test_a_learned_map_in_transfer_discovery_and_advice(
    foreign: list[str], zoo: dict[str, Path], results: Callable[..., dict[str, Any]]
) -> None:
    learned = [option for option in foreign if "label_map" not in option]
    found = results("transfer", *QUICK, *learned, "teacher.labels=learned", "method=kl_dp")
    assert found["models"]["teacher"]["labels"]["how"] == "learned" and found["acc_teacher"] > 50
    own = ", ".join(option.removeprefix("teacher.").replace("=", ": ", 1) for option in learned)
    models = (
        f"models=[{{name: test_convnext, {own}, labels: learned}}, {{name: test_vit, checkpoint: {zoo['test_vit']}}}]"
    )
    asked = results("discover", "task=discover", models)
    assert asked["num_eval"] == 1437 and not asked["failed"]
    advice = results("recommend", "task=recommend", "student=test_resnet", models, "methods=[kl_dp]")
    assert advice["best"]["method"] == "kl_dp"


def test_a_teacher_in_another_order_that_nothing_says_is_refused(
    zoo: dict[str, Path], tmp_path: Path, command: Command
) -> None:
    order = [(each + 1) % 10 for each in range(10)]
    checkpoint, *options = in_classes(tmp_path, "rolled", order, zoo["test_convnext"])
    typed = [f"teacher.{option}" for option in (checkpoint, *options) if not option.startswith("label_map")]
    ended = command(*QUICK, *typed)
    assert ended.code == 1 and "guessing among 10 classes" in ended.err and "teacher.labels=learned" in ended.err
    assert not list(tmp_path.glob("runs/*/*/results.json"))
    assert command(*QUICK, *typed, "teacher.labels=same", "method=kl_dp").code == 0  # its weakness is vouched for
    assert command(*QUICK, *typed, "teacher.labels=learned", "method=kl_dp").code == 0
