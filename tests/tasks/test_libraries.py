"""Models of other libraries in every task, from the command line."""

import json
from pathlib import Path

import pytest

from tests.conftest import Command

TINY = "tv:shufflenet_v2_x0_5"


def results(folder: Path) -> dict:
    return json.loads((folder / "results.json").read_text())


def test_a_model_of_torchvision_is_trained_once_and_teaches(command: Command) -> None:
    """Its zoo entry, its folder names and its export carry on what its name says."""
    trained = command("task=pretrain", f"student={TINY}", "pretrain.name=shuffled")
    assert trained.code == 0, trained.out + trained.err
    taught = command(f"teacher={TINY}", "student=test_vit", "method=crd", "trainer.max_epochs=1")
    assert taught.code == 0, taught.out + taught.err
    assert "training it once" not in taught.err + taught.out or "test_vit" in taught.err + taught.out
    (folder,) = Path("runs/transfer").iterdir()
    assert folder.name.startswith("crd-tv-shufflenet_v2_x0_5-to-test_vit-digits-seed0-")
    found = results(folder)
    assert found["models"]["teacher"]["architecture"] == found["teacher"] == TINY
    assert found["models"]["teacher"]["family"] == "shufflenetv2"
    assert found["models"]["teacher"]["provenance"]["location"] == "shuffled"
    again = command("task=evaluate", f"student={TINY}", "student.checkpoint=zoo:shuffled")
    assert again.code == 0, again.err
    listed = command("task=discover", f"models=[zoo:shuffled,test_vit,glob({TINY})]")
    assert listed.code == 0, listed.out + listed.err


def test_a_student_of_torchvision_learns_whole_and_by_its_head(command: Command) -> None:
    models = ("teacher=test_convnext", f"student={TINY}", "trainer.max_epochs=1")
    outcome = command(*models, "guard=wise", "hydra.run.dir=one")
    assert outcome.code == 0, outcome.out + outcome.err
    assert "the student  one/student/README.md says how torchvision loads it" in outcome.out
    assert json.loads(Path("one/student/config.json").read_text())["library"] == "torchvision"
    again = command("task=evaluate", f"student={TINY}", "student.checkpoint=one/student", "hydra.run.dir=two")
    assert again.code == 0, again.err
    assert results(Path("two"))["acc"] == pytest.approx(results(Path("one"))["acc_after"])
    head = command(*models, "transfer.part=head")
    assert head.code == 0, head.out + head.err


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("student=tv:resnt18", "torchvision has no model 'resnt18'. Did you mean tv:resnet18"),
        ("teacher=tv:maskrcnn_resnet50_fpn", "is no image classifier"),
        ("teachers=[tv:resnt18]", "torchvision has no model 'resnt18'"),
    ],
)
def test_names_that_do_not_exist(command: Command, option: str, message: str) -> None:
    refused = command(option)
    assert refused.code != 0 and message in refused.err and len(refused.err.splitlines()) == 1


def test_without_weights_for_many_images(command: Command) -> None:
    refused = command("task=evaluate", "student=tv:mobilenet_v2", "data.pretrain.max_images=10")
    assert refused.code != 0 and "no trained weights of tv:mobilenet_v2 for this data" in refused.err
