"""The zoo on the command line, and what a run that finds it filled says and does."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from conftest import Command

from ktlight.models import classifier as classifier_module

SHORT = ["pretrain.epochs=1", "student=test_resnet"]


def results(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "results.json").read_text())


def test_the_models_of_a_data_set_are_listed_and_removed(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KTLIGHT_CACHE", str(tmp_path / "cache"))
    empty = command("task=zoo", "hydra.run.dir=empty")
    assert empty.code == 0 and "no models" in empty.out
    for options in (["pretrain.name=mine"], ["pretrain.seed=1"]):
        assert command("task=pretrain", *SHORT, *options, "hydra.run.dir=trained").code == 0
    acc = results(tmp_path / "trained")["acc"]

    listed = command("task=zoo", "hydra.run.dir=listed")
    models = results(tmp_path / "listed")["models"]
    (other,) = (model for model in models if model["name"] != "mine")
    assert listed.code == 0 and len(models) == 2
    assert (other["model"], other["epochs"], other["seed"], other["acc"]) == ("test_resnet", 1, 1, acc)
    for shown in ("mine", other["name"], "test_resnet", f"{acc:.2f}", f"{other['parameters']:,}", "digits"):
        assert shown in listed.out
    everything = command("task=zoo", "zoo.all=true", "data=cifar10", "hydra.run.dir=all")
    assert everything.code == 0 and other["name"] in everything.out

    unnamed = command("task=zoo", "zoo.action=remove")
    assert unnamed.code == 1 and "zoo.name=NAME" in unnamed.err
    wrong = command("task=zoo", "zoo.action=remove", "zoo.name=mien")
    assert wrong.code == 1 and "no model mien. Did you mean mine?" in wrong.err
    assert command("task=zoo", "zoo.action=remove", "zoo.name=mine", "hydra.run.dir=removed").code == 0
    assert [model["name"] for model in results(tmp_path / "removed")["models"]] == [other["name"]]
    assert len([*(tmp_path / "cache" / "zoo").glob("*/test_resnet-*")]) == 1


HISTORY = (
    ["task=pretrain", "student=test_vit", "pretrain.epochs=1", "seed=3"],
    ["task=evaluate", "student=test_vit", "pretrain.epochs=2", "data.batch_size=180", "data.views=1"],
    ["task=pretrain", "student=test_vit", "pretrain.epochs=1", "data.batch_size=32", "pretrain.name=small"],
    ["task=evaluate", "student=test_vit", "pretrain.epochs=1", "data.holdout=0.1", "data.evaluate_on=holdout"],
    ["task=evaluate", "student=test_vit", "pretrain.epochs=1", "data.fraction=0.5"],
    ["task=zoo", "zoo.all=true"],
)
THE_COMMAND = ["student=test_vit", "teacher=test_resnet", "pretrain.epochs=1", "trainer.max_epochs=1"]


def figures(results: dict[str, Any]) -> dict[str, Any]:
    """Leave out times."""
    return {key: value for key, value in results.items() if "seconds" not in key}


@pytest.mark.parametrize("order", range(2))
def test_the_figures_of_a_command_do_not_depend_on_what_was_run_before(
    order: int, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shuffled = random.Random(order)
    history = shuffled.sample(HISTORY, len(HISTORY))[: shuffled.randint(2, 4)]
    monkeypatch.setenv("KTLIGHT_CACHE", str(tmp_path / "fresh"))
    assert command(*THE_COMMAND, "hydra.run.dir=expected").code == 0
    monkeypatch.setenv("KTLIGHT_CACHE", str(tmp_path / "used"))
    for number, arguments in enumerate(history):
        ended = command(*arguments, f"hydra.run.dir=before{number}")
        assert ended.code == 0, ended.err
    for again in ("once", "twice"):
        ended = command(*THE_COMMAND, f"hydra.run.dir={again}")
        assert ended.code == 0, ended.err
        assert figures(results(tmp_path / again)) == figures(results(tmp_path / "expected"))
        predictions = [(tmp_path / folder / "predictions.parquet").read_bytes() for folder in (again, "expected")]
        assert predictions[0] == predictions[1]


def test_every_model_of_a_run_is_hashed_once(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["student=test_vit", "teacher=test_convnext", "trainer.max_epochs=1"]
    for model in ("test_vit", "test_convnext"):
        assert command("task=evaluate", f"student={model}").code == 0
    computed = []
    real = classifier_module._state_hash
    monkeypatch.setattr(classifier_module, "_state_hash", lambda network: computed.append(network) or real(network))
    ended = command(*arguments)
    assert ended.code == 0, ended.err
    assert len({id(network) for network in computed}) == len(computed)
    # the initial student in the run and in its stage, the teacher, the student after the transfer
    assert len(computed) == 4
