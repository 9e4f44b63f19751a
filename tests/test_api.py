import copy
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import safetensors.torch
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import Subset, TensorDataset

import ktlight
from ktlight.errors import UserError


@pytest.fixture(scope="module")
def floats() -> tuple[Any, Any]:
    digits = load_digits()
    images = torch.from_numpy(digits.images).float()[:, None] / 8 - 1
    whole = TensorDataset(images, torch.from_numpy(digits.target))
    return Subset(whole, range(400)), Subset(whole, range(400, 700))


@pytest.fixture(scope="module")
def pixels() -> tuple[Any, Any]:
    digits = load_digits()
    images = torch.from_numpy(digits.images * 15).to(torch.uint8)[:, None].expand(-1, 3, -1, -1)
    whole = TensorDataset(images.repeat_interleave(4, 2).repeat_interleave(4, 3), torch.from_numpy(digits.target))
    return Subset(whole, range(160)), Subset(whole, range(400, 500))


class Net(nn.Module):
    """A small network of the user's own; takes whatever pixels there are."""

    def __init__(self, inputs: int, classes: int = 10, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(inputs, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, classes)
        )

    def forward(self, image: Tensor) -> Tensor:
        return self.layers(image / 255 if image.dtype == torch.uint8 else image)  # type: ignore[no-any-return]


def trained(data: Any, inputs: int, seed: int, steps: int = 30) -> Net:
    net = Net(inputs, seed=seed)
    images, labels = (torch.stack([torch.as_tensor(row[part]) for row in data]) for part in (0, 1))
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(images), labels).backward()
        optimizer.step()
    return net.eval()


QUICK = ["trainer.max_epochs=2", "trainer.progress=false", "optim=sgd", "optim.decay=constant", "optim.lr=0.2"]
QUICK += ["trainer=cpu"]


@pytest.mark.parametrize("kind", ["floats", "pixels"])
def test_networks_and_data_of_the_user_s_own(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    train, val = request.getfixturevalue(kind)
    inputs = train[0][0].numel()
    student, teacher = trained(train, inputs, 0, steps=5), trained(train, inputs, 1, steps=60)
    before = copy.deepcopy(student.state_dict())
    outcome = ktlight.transfer(student, teacher, train, val, folder=tmp_path / "run", overrides=QUICK)

    for name, value in student.state_dict().items():
        assert torch.equal(value, before[name]), "the user's own network was changed"
    assert not student.training
    images, labels = (torch.stack([torch.as_tensor(row[part]) for row in val]) for part in (0, 1))
    columns = pq.read_table(tmp_path / "run" / "predictions.parquet").to_pydict()
    with torch.no_grad():
        for column, network in (("before", student), ("teacher", teacher), ("after", outcome.student.network.eval())):
            assert columns[column] == network(images).argmax(1).tolist(), column
    assert columns["label"] == labels.tolist()
    accuracy = 100 * np.mean(np.asarray(columns["after"]) == np.asarray(columns["label"]))
    assert outcome.results["acc_after"] == pytest.approx(accuracy)
    assert outcome.results["transfer_delta"] > 1  # an easy case: a hardly trained student, a good teacher
    assert outcome.results["method"] == "kl_dp" and outcome.folder.results == outcome.results

    learned = Net(inputs)
    learned.load_state_dict(safetensors.torch.load_file(tmp_path / "run" / "student" / "model.safetensors"))
    for name, value in learned.state_dict().items():
        assert torch.equal(value, outcome.student.network.state_dict()[name])
    # it came in evaluation mode and was trained in training mode
    assert int(learned.layers[2].num_batches_tracked) > int(student.layers[2].num_batches_tracked)


def test_a_timm_model_by_name_is_trained_first(
    pixels: tuple[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KTLIGHT_CACHE", str(tmp_path / "cache"))
    train, val = pixels
    teacher = trained(train, 3 * 32 * 32, 1)
    overrides = ["trainer.max_epochs=1", "pretrain.epochs=1", "trainer.progress=false"]
    outcome = ktlight.transfer(
        "test_vit", teacher, train, val, method="kl", folder=tmp_path / "run", overrides=overrides
    )
    assert outcome.results["student"] == "test_vit" and outcome.results["teacher"] == "Net"
    assert outcome.results["teacher_share"] == 100
    assert list((tmp_path / "cache").glob("zoo/*/test_vit-*"))
    assert (tmp_path / "run" / "student" / "config.json").exists()


def test_a_timm_model_by_name_wants_pixels(floats: tuple[Any, Any], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="uint8"):
        ktlight.transfer("test_vit", Net(64), *floats, folder=tmp_path / "run", overrides=["pretrain.epochs=1", *QUICK])


@pytest.mark.parametrize("role", ["student", "teacher"])
def test_networks_of_other_classes_are_refused(role: str, floats: tuple[Any, Any], tmp_path: Path) -> None:
    networks = {"student": Net(64), "teacher": Net(64)} | {role: Net(64, classes=7)}
    with pytest.raises(UserError, match=f"the {role} Net tells 7 classes apart, but .* has 10"):
        ktlight.transfer(**networks, train_data=floats[0], val_data=floats[1], folder=tmp_path / "run")
    assert not (tmp_path / "run" / "results.json").exists()


class Pair(Net):
    def forward(self, image: Tensor) -> Any:
        return {"logits": super().forward(image)}


class Map(Net):
    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image)[..., None, None]


@pytest.mark.parametrize(("network", "found"), [(Pair, "gives dict"), (Map, r"gives \[1, 10, 1, 1\]")])
def test_a_network_that_gives_no_logits_is_refused(
    network: type[Net], found: str, floats: tuple[Any, Any], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=found):
        ktlight.transfer(Net(64), network(64), *floats, folder=tmp_path / "run")


def test_an_option_that_does_not_exist_is_named(floats: tuple[Any, Any], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"unknown method 'kl_dpp'.*kl_dp"):
        ktlight.transfer(Net(64), Net(64), *floats, method="kl_dpp", folder=tmp_path / "run")


def test_a_used_folder_is_set_aside(floats: tuple[Any, Any], tmp_path: Path) -> None:
    first = ktlight.transfer(Net(64), Net(64, seed=1), *floats, folder=tmp_path, overrides=[*QUICK, "seed=1"])
    ktlight.transfer(Net(64), Net(64, seed=1), *floats, folder=tmp_path, overrides=QUICK)
    assert ktlight.api.RunFolder(tmp_path / "previous-1").results == first.results


@pytest.mark.parametrize("schedule", ["parallel", "sequential", "soup"])
def test_several_teachers_of_the_user_s_own(schedule: str, floats: tuple[Any, Any], tmp_path: Path) -> None:
    train, val = floats
    student, *teachers = (trained(train, 64, seed, steps) for seed, steps in ((0, 5), (1, 60), (2, 60)))
    before = [teacher.layers[1].weight.clone() for teacher in teachers]
    outcome = ktlight.transfer(
        student, teachers, train, val, folder=tmp_path / "run", overrides=[*QUICK, f"schedule={schedule}"]
    )
    assert outcome.results["teacher"] == "Net+Net" and len(outcome.results["teachers"]) == 2
    assert outcome.results["weights_after"] != outcome.results["weights_before"]
    assert len(outcome.results.get("stages", [])) == (0 if schedule == "parallel" else 2)
    for teacher, weights in zip(teachers, before, strict=True):
        assert torch.equal(teacher.layers[1].weight, weights)


def test_a_named_model_among_several_teachers(pixels: tuple[Any, Any], tmp_path: Path) -> None:
    train, val = pixels
    inputs = train[0][0].numel()
    student, teacher = trained(train, inputs, 0, steps=5), trained(train, inputs, 1)
    overrides = [*QUICK, "pretrain.epochs=1", "method=dml", "optim.peers=[{lr: 0.0},{lr: 0.01}]"]
    overrides.remove("optim.lr=0.2")
    outcome = ktlight.transfer(
        student, [teacher, "test_resnet"], train, val, method="dml", folder=tmp_path / "run", overrides=overrides
    )
    assert outcome.results["teacher"] == "Net+test_resnet" and outcome.results["teacher1_transfer_delta"] <= 0
    assert (tmp_path / "run" / "teacher2" / "model.safetensors").exists()


def test_methods_on_features_need_a_classifier_layer(floats: tuple[Any, Any], tmp_path: Path) -> None:
    train, val = floats
    with pytest.raises(UserError, match=r"Net.*features"):
        ktlight.transfer(Net(64), Net(64, seed=1), train, val, method="cd", folder=tmp_path / "run", overrides=QUICK)
