"""Models of other libraries answer in the data's classes, and learn in them."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForImageClassification, ResNetConfig

from ktlight.models.build import build_classifier, new_classifier, provenance_of
from ktlight.models.classifier import Classifier
from ktlight.models.export import export_classifier
from ktlight.models.spec import ModelConfig
from tests.models.conftest import images

OWN = ["ant", "bee", "cat", "dog", "elk", "fox"]
DATA = ["fox", "bee", "dog"]
COLUMNS = [OWN.index(name) for name in DATA]


@pytest.fixture(params=["tv", "hf"])
def trained(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[ModelConfig, Classifier]:
    """A model with names for six classes, and what to say to have it loaded."""
    name = "tv:shufflenet_v2_x0_5"
    if request.param == "hf":
        defined = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
        defined.save_pretrained(tmp_path / "tiny")
        name = f"hf:{tmp_path / 'tiny'}"
    torch.manual_seed(0)
    classifier = new_classifier(ModelConfig(name, name), num_classes=len(OWN), native_size=32).eval()
    export_classifier(classifier, tmp_path / "own", record={}, class_names=OWN)
    return ModelConfig(name, name, checkpoint=str(tmp_path / "own")), classifier


def test_a_teacher_speaks_of_the_datas_classes_alone(trained: tuple[ModelConfig, Classifier]) -> None:
    config, whole = trained
    found = build_classifier(config, provenance_of(config), class_names=DATA).eval()
    logits_BZ = whole(images())
    assert found.label_map is not None and found.num_classes == len(DATA)
    torch.testing.assert_close(found(images()).log_softmax(1), logits_BZ[:, COLUMNS].log_softmax(1))


def test_a_student_starts_with_the_rows_of_the_datas_classes(
    trained: tuple[ModelConfig, Classifier], tmp_path: Path
) -> None:
    config, whole = trained
    student = build_classifier(config, provenance_of(config), class_names=DATA, learns=True).eval()
    assert student.label_map is None and student.network.num_classes == len(DATA)
    torch.testing.assert_close(student(images()), whole(images())[:, COLUMNS])
    export_classifier(student, tmp_path / "student", record={}, class_names=DATA)
    again = build_classifier(
        ModelConfig(config.name, config.architecture, checkpoint=str(tmp_path / "student")),
        provenance_of(config),
        class_names=DATA,
    ).eval()
    torch.testing.assert_close(again(images()), student(images()), rtol=0, atol=0)
    if config.name.startswith("hf:"):
        theirs = AutoModelForImageClassification.from_pretrained(tmp_path / "student")
        assert theirs.config.id2label == dict(enumerate(DATA)) and theirs.num_labels == len(DATA)
