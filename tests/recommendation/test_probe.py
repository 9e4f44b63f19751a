"""A probe is a head-only transfer without Lightning around it."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ktlight.answers.stored import OutputStore
from ktlight.models.classifier import Classifier
from ktlight.models.head import Head
from ktlight.recommendation.probe import learning_head, probe, train_head
from ktlight.report.folder import RunFolder
from ktlight.stages.head import on_features
from ktlight.stages.setting import Setting
from ktlight.stages.sources import routing_rule
from ktlight.stages.stage import build_method, learn
from tests import tiny

SGD = [
    "optim=sgd", "optim.lr_batch=null", "optim.decay=constant", "optim.warmup_epochs=0", "optim.optimizer.momentum=0",
    "optim.optimizer.weight_decay=0", "optim.lr=0.5",
]  # fmt: skip


class Network(nn.Module):
    """A trunk with batch statistics and a last layer, as timm's networks have them."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Flatten(), nn.Linear(3 * tiny.SIZE**2, 6), nn.BatchNorm1d(6), nn.ReLU())
        self.last = nn.Linear(6, tiny.CLASSES)

    def get_classifier(self) -> nn.Module:
        return self.last

    def forward(self, image: Tensor) -> Tensor:
        return self.last(nn.functional.dropout(self.trunk(image), 0.5, self.training))


def classifier(seed: int) -> Classifier:
    torch.manual_seed(seed)
    return Classifier(Network(), tiny.Scale(), name=f"net{seed}", architecture="net", num_classes=tiny.CLASSES)


def setting_of(student: Classifier, teacher: Classifier, *overrides: str, batch_size: int = 8) -> Setting:
    config = tiny.config("transfer.part=head", f"data.batch_size={batch_size}", *overrides)
    data = tiny.data_module(batch_size=batch_size, holdout=0.25)
    data.evaluate_on = "holdout"
    roles = {"student": student, "teacher": teacher}
    rule = routing_rule(config, build_method(config, list(roles.values())), roles)
    return Setting(config, data, OutputStore(config), [], 3, rule)


@pytest.fixture
def networks() -> Iterator[tuple[Classifier, Classifier]]:
    yield classifier(0), classifier(1)


@pytest.mark.parametrize(
    "options",
    [
        ["method=kl_mcl", "restraint.samples=8", "restraint.tau=0.5"],
        ["method=xe_kl", "router=most_confident", "trainer.gradient_clip_val=0.1"],
        ["method=xe_kl", "router=most_confident", "router.retain_weight=5"],
        ["method=kl", "router=flip_avg", "optim=sgd", "optim.lr=0.3"],
        ["method=hinton", "router=soft"],
        ["method=xe_kl_mcl", "restraint.samples=8"],
    ],
)
def test_equals_the_head_only_transfer(options: list[str], networks: Any, tmp_path: Path) -> None:
    student, teacher = networks
    setting = setting_of(student, teacher, *options)
    frozen, teacher = student.frozen_copy(), teacher.freeze()
    setting = on_features(setting, frozen)
    ours, theirs = learning_head(frozen), learning_head(frozen)
    train_head(setting, ours, teacher)
    learn(setting, theirs, {"teacher": teacher}, RunFolder(tmp_path), setting.epochs)
    for mine, reference, start in zip(ours.parameters(), theirs.parameters(), Head(frozen).parameters(), strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-5, atol=1e-7)
        assert not torch.equal(mine, start)


def test_equals_full_batch_training_by_hand(networks: Any) -> None:
    """Gradient descent on the divergence from whoever is surer of the label, and what it gives on held-out images."""
    student, teacher = networks
    setting = setting_of(student, teacher, "method=kl_dp", *SGD, batch_size=36)
    frozen, teacher = student.frozen_copy(), teacher.freeze()
    data = setting.data
    pixels = data.dataset.train.images
    train, held_out = pixels[data.train_rows], pixels[data.holdout_rows]
    labels = torch.from_numpy(data.dataset.train.labels[data.train_rows])
    network = copy.deepcopy(frozen.network)
    features = {name: network.trunk(tiny.Scale()(images)) for name, images in (("train", train), ("held", held_out))}
    weight, bias = (parameter.detach().clone() for parameter in network.last.parameters())
    own, other = (features["train"] @ weight.T + bias).softmax(1), teacher(train).softmax(1)
    rows = torch.arange(len(labels))
    target = torch.where((other[rows, labels] > own[rows, labels])[:, None], other, own)
    for _ in range(3):
        pull = ((features["train"] @ weight.T + bias).softmax(1) - target) / len(labels)
        weight, bias = weight - 0.5 * pull.T @ features["train"], bias - 0.5 * pull.sum(0)
    found = probe(on_features(setting, frozen), frozen, teacher)
    torch.testing.assert_close(found, features["held"] @ weight.T + bias, rtol=1e-5, atol=1e-6)


def test_leaves_the_student_and_the_test_samples_alone(networks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    student, teacher = networks
    setting = setting_of(student, teacher, "method=kl_dp")
    frozen, teacher = student.frozen_copy(), teacher.freeze()
    before = {name: value.clone() for name, value in frozen.network.state_dict().items()}

    def looked(row: int) -> Tensor:
        raise AssertionError("a test sample was read")

    monkeypatch.setattr(setting.data.dataset.val, "image", looked)
    probe(on_features(setting, frozen), frozen, teacher)
    assert all(torch.equal(value, before[name]) for name, value in frozen.network.state_dict().items())
