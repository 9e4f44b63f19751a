"""Models of other libraries in every task, from the command line."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import TensorDataset
from transformers import ResNetConfig

import ktlight
from tests.conftest import Command

TORCHVISION = "tv:shufflenet_v2_x0_5"
TRANSFORMERS = "hf:./tiny"
SHORT = ("data.fraction=0.3", "trainer.max_epochs=1", "pretrain.epochs=1")


def results(folder: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(folder, "results.json").read_text())
    return found


@pytest.fixture
def run(command: Command):
    """Run a command that must succeed, in a folder with a tiny definition of transformers, and return what it says."""
    ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic").save_pretrained("tiny")

    def run(*arguments: str) -> str:
        outcome = command(*SHORT, *arguments)
        assert outcome.code == 0, outcome.out + outcome.err
        return outcome.out + outcome.err

    return run


@pytest.mark.parametrize(
    ("model", "called", "architecture", "family"),
    [
        (TORCHVISION, "tv.shufflenet_v2_x0_5", TORCHVISION, "shufflenetv2"),
        (TRANSFORMERS, "hf.tiny", "hf:tiny", "resnet"),
    ],
)
def test_a_model_is_trained_once_then_teaches_and_learns(run, model, called, architecture, family) -> None:
    run("task=pretrain", f"student={model}", f"pretrain.name={family}", "hydra.run.dir=pretrained")
    said = run("method=crd", f"teacher={model}", "student=test_vit")
    assert f"zoo:{family} (1 epoch" in said and f"training it once {model}" not in said
    (folder,) = Path("runs/transfer").iterdir()
    assert folder.name.startswith(f"crd-{called}-to-test_vit-digits-seed0-")
    teacher = results(str(folder))["models"]["teacher"]
    assert (teacher["name"], teacher["architecture"], teacher["family"]) == (model, architecture, family)
    assert results("pretrained")["acc"] == pytest.approx(results(str(folder))["acc_teacher"])

    learned = run(f"student={model}", "teacher=test_vit", "guard=wise", "hydra.run.dir=learned")
    assert "the student  " in learned and "timm.create_model" not in learned
    run("task=evaluate", f"student={model}", "student.checkpoint=learned/student", "hydra.run.dir=again")
    assert results("again")["acc"] == pytest.approx(results("learned")["acc_after"])
    run("transfer.part=head", f"student={model}", "teacher=test_vit")
    listed = run("task=discover", f"models=[zoo:{family},test_vit,{{name: {model}, checkpoint: learned/student}}]")
    assert "3 models" in listed


def test_a_folder_with_weights_is_these_weights(run) -> None:
    run("task=pretrain", f"student={TRANSFORMERS}", "trainer.max_epochs=10", "data.fraction=1", "hydra.run.dir=own")
    said = run(f"teachers=[hf:./own/student,{TORCHVISION}]", "student=test_vit")
    assert "teacher1: hf:./own/student, checkpoint: own/student; 32 px" in said
    (folder,) = Path("runs/transfer").iterdir()
    assert "-hf.own-student+tv.shufflenet_v2_x0_5-to-" in folder.name


def test_a_pattern_lists_those_of_a_library(command: Command) -> None:
    shown = command("--cfg", "job", "task=discover", "models=[glob(tv:shufflenet_v2_x0*),glob(test_vit)]")
    assert shown.code == 0 and "tv:shufflenet_v2_x0*" in shown.out


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("student=tv:resnt18", "torchvision has no model 'resnt18'. Did you mean tv:resnet18"),
        ("teacher=tv:maskrcnn_resnet50_fpn", "is no image classifier"),
        ("teachers=[tv:resnt18]", "torchvision has no model 'resnt18'"),
        ("student=hf:./nowhere/at/all", "there is no such folder"),
        ("student=hf:microsoft/resnet-18", "could not be fetched from the Hugging Face Hub"),
    ],
)
def test_names_that_do_not_exist(command: Command, option: str, message: str) -> None:
    refused = command(option)
    assert refused.code != 0 and message in refused.err and len(refused.err.splitlines()) == 1


def test_without_weights_for_many_images(command: Command) -> None:
    refused = command("task=evaluate", "student=tv:mobilenet_v2", "data.pretrain.max_images=10")
    assert refused.code != 0 and "no trained weights of tv:mobilenet_v2 for this data" in refused.err
    assert "Those that torchvision keeps, for classes of their own, are checkpoint=tv:mobilenet_v2." in refused.err


def test_from_python_and_what_it_came_to_again(run) -> None:
    labels = torch.arange(60) % 3
    noise = torch.randint(0, 80, (60, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    images = (noise + 60 * labels[:, None, None, None]).to(torch.uint8)
    train, val = TensorDataset(images[:40], labels[:40]), TensorDataset(images[40:], labels[40:])

    def transfer(**options):
        options |= {"epochs": 1, "folder": "one", "overrides": ["pretrain.epochs=1", "data.pretrain.max_images=100"]}
        return ktlight.transfer(TRANSFORMERS, "test_resnet", train, val, **options)

    first, again = transfer(), transfer(resume=True)
    assert first.student.weights_hash() == again.student.weights_hash() and first.results == again.results
    assert "its weights  AutoModelForImageClassification.from_pretrained('one/student')" in str(first)
