"""Similarities of a user's own, and those that classifiers have."""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch

from ktlight.discovery.similarity import classifier_rows, read_similarity
from ktlight.errors import UserError
from ktlight.models.classifier import Classifier

CLASSES = 4


def written(folder: Path, numbers: object, name: str = "own.npy") -> Path:
    file = folder / name
    if name.endswith(".npy"):
        np.save(file, np.asarray(numbers))
    else:
        np.savetxt(file, np.asarray(numbers), delimiter=",")
    return file


@pytest.mark.parametrize("name", ["own.npy", "own.csv"])
def test_similarities_are_read_as_they_are(name: str, tmp_path: Path) -> None:
    numbers = np.eye(CLASSES) + 0.25
    assert torch.equal(read_similarity(written(tmp_path, numbers, name), CLASSES), torch.tensor(numbers).float())


def test_embeddings_become_cosines(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(CLASSES, 3))
    found = read_similarity(written(tmp_path, rows), CLASSES)
    norms = np.linalg.norm(rows, axis=1)
    np.testing.assert_allclose(found, rows @ rows.T / np.outer(norms, norms), atol=1e-6)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        (np.eye(3), r"one row for each of the 4 classes, but its shape is \(3, 3\)"),
        (np.arange(16.0).reshape(4, 4), "must be symmetric"),
        (np.full((4, 4), np.nan), "finite numbers"),
        (np.array(["a"] * 4), "cannot be read"),
    ],
)
def test_refused(numbers: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        read_similarity(written(tmp_path, numbers), CLASSES)


@pytest.mark.parametrize("name", ["test_vit", "test_resnet", "test_mambaout"])
def test_rows_of_timms_classifiers(name: str) -> None:
    classifier = Classifier.from_network(timm.create_model(name, num_classes=CLASSES), name=name)
    rows = classifier_rows(classifier)
    assert rows is not None and len(rows) == CLASSES and not rows.requires_grad


def test_networks_with_two_classifiers_have_no_rows() -> None:
    network = timm.create_model("deit_tiny_distilled_patch16_224", num_classes=CLASSES)
    assert classifier_rows(Classifier.from_network(network, name="two")) is None
