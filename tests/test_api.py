import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import hydra
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
from ktlight.report.folder import RunFolder
from tests.process import process


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


QUICK = ["trainer.progress=false", "optim=sgd", "optim.decay=constant", "trainer=cpu"]
SHORT: dict[str, Any] = {"lr": 0.2, "epochs": 2, "overrides": QUICK}


@pytest.mark.parametrize("kind", ["floats", "pixels"])
def test_networks_and_data_of_the_user_s_own(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    train, val = request.getfixturevalue(kind)
    inputs = train[0][0].numel()
    student, teacher = trained(train, inputs, 0, steps=5), trained(train, inputs, 1, steps=60)
    before = copy.deepcopy(student.state_dict())
    outcome = ktlight.transfer(student, teacher, train, val, folder=tmp_path / "run", **SHORT)

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
    overrides = ["pretrain.epochs=1", "trainer.progress=false"]
    outcome = ktlight.transfer(
        "test_vit", teacher, train, val, method="kl", epochs=1, folder=tmp_path / "run", overrides=overrides
    )
    assert outcome.results["student"] == "test_vit" and outcome.results["teacher"] == "Net"
    assert outcome.results["teacher_share"] == 100
    assert list((tmp_path / "cache").glob("zoo/*/test_vit-*"))
    assert (tmp_path / "run" / "student" / "config.json").exists()
    assert f"local-dir:{tmp_path / 'run'}/student" in str(outcome)
    again = ktlight.transfer(
        "test_vit",
        teacher,
        train,
        val,
        method="kl",
        epochs=1,
        folder=tmp_path / "run",
        resume=True,
        overrides=overrides,
    )
    for name, value in outcome.student.network.state_dict().items():
        assert torch.equal(value, again.student.network.state_dict()[name])


def test_a_timm_model_by_name_wants_pixels(floats: tuple[Any, Any], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="uint8"):
        ktlight.transfer("test_vit", Net(64), *floats, folder=tmp_path / "run", overrides=["pretrain.epochs=1", *QUICK])


@pytest.mark.parametrize("role", ["student", "teacher"])
def test_networks_of_other_classes_are_refused(role: str, floats: tuple[Any, Any], tmp_path: Path) -> None:
    networks = {"student": Net(64), "teacher": Net(64)} | {role: Net(64, classes=7)}
    with pytest.raises(UserError, match=f"the {role} Net tells 7 classes apart, but the data have 10"):
        ktlight.transfer(**networks, train_data=floats[0], val_data=floats[1], folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_advice_on_other_classes_is_for_networks(floats: tuple[Any, Any]) -> None:
    """Of an `nn.Module` there is no command to run; and a split may lack the classes with the largest labels."""
    few = [Subset(split, [row for row in range(len(split)) if split[row][1] < 5]) for split in floats]
    with pytest.raises(
        UserError, match=r"last layer of 5 logits .* 10 classes, name them all with class_names="
    ) as error:
        ktlight.transfer(Net(64, classes=5), Net(64), *few)
    assert "run.py" not in str(error.value)
    with pytest.raises(UserError, match=r"last layer of 5 logits .*first$"):
        ktlight.transfer(Net(64, classes=5), Net(64), *few, class_names=list("abcde"))


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
    first = ktlight.transfer(Net(64), Net(64, seed=1), *floats, folder=tmp_path, seed=1, **SHORT)
    ktlight.transfer(Net(64), Net(64, seed=1), *floats, folder=tmp_path, **SHORT)
    assert RunFolder(tmp_path / "previous-1").results == first.results
    assert first.results["seed"] == 1 and first.results["epochs"] == 2


@pytest.mark.parametrize("schedule", ["parallel", "sequential", "soup"])
def test_several_teachers_of_the_user_s_own(schedule: str, floats: tuple[Any, Any], tmp_path: Path) -> None:
    train, val = floats
    student, *teachers = (trained(train, 64, seed, steps) for seed, steps in ((0, 5), (1, 60), (2, 60)))
    before = [teacher.layers[1].weight.clone() for teacher in teachers]
    outcome = ktlight.transfer(
        student,
        teachers,
        train,
        val,
        folder=tmp_path / "run",
        **SHORT | {"overrides": [*QUICK, f"schedule={schedule}"]},
    )
    assert outcome.results["teacher"] == "Net+Net" and len(outcome.results["teachers"]) == 2
    assert outcome.results["weights_after"] != outcome.results["weights_before"]
    assert len(outcome.results.get("stages", [])) == (0 if schedule == "parallel" else 2)
    for teacher, weights in zip(teachers, before, strict=True):
        assert torch.equal(teacher.layers[1].weight, weights)


@pytest.mark.parametrize(("method", "settled"), [("kl_dp", 1), ("dml", 3)])
def test_statistics_are_settled_for_all_that_learn_in_any_stage(
    method: str, settled: int, floats: tuple[Any, Any], tmp_path: Path
) -> None:
    train, val = floats
    student, *teachers = (trained(train, 64, seed, steps=5) for seed in range(3))
    options = [*QUICK, "transfer.batchnorm=own", "schedule=sequential"]
    given: dict[str, Any] = {"method": method, **SHORT, "overrides": options, "folder": tmp_path / "run"}
    outcome = ktlight.transfer(student, teachers, train, val, **given)
    roles = ("student", "teacher1", "teacher2")[:settled]
    assert outcome.results["batchnorm"] == {role: {"kept": True} for role in roles}
    for role, before in zip(roles, (student, *teachers), strict=False):
        learned = safetensors.torch.load_file(tmp_path / "run" / role / "model.safetensors")
        for name in ("running_mean", "num_batches_tracked"):
            assert torch.equal(learned[f"layers.2.{name}"], before.state_dict()[f"layers.2.{name}"])
        assert not torch.equal(learned["layers.1.weight"], before.layers[1].weight)
    assert outcome.student.train().network.layers[2].training  # whoever trains it further decides anew


def test_a_named_model_among_several_teachers(pixels: tuple[Any, Any], tmp_path: Path) -> None:
    train, val = pixels
    inputs = train[0][0].numel()
    student, teacher = trained(train, inputs, 0, steps=5), trained(train, inputs, 1)
    overrides = [*QUICK, "pretrain.epochs=1", "optim.peers=[{lr: 0.0},{lr: 0.01}]"]
    outcome = ktlight.transfer(
        student,
        [teacher, "test_resnet"],
        train,
        val,
        method="dml",
        epochs=2,
        folder=tmp_path / "run",
        overrides=overrides,
    )
    assert outcome.results["teacher"] == "Net+test_resnet" and outcome.results["teacher1_transfer_delta"] <= 0
    assert (tmp_path / "run" / "teacher2" / "model.safetensors").exists()


def test_methods_on_features_need_a_classifier_layer(floats: tuple[Any, Any], tmp_path: Path) -> None:
    train, val = floats
    with pytest.raises(UserError, match=r"Net.*features"):
        ktlight.transfer(Net(64), Net(64, seed=1), train, val, method="cd", folder=tmp_path / "run", **SHORT)


def test_every_call_has_a_folder_of_its_own(
    floats: tuple[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = (ktlight.transfer(Net(64), Net(64, seed=1), *floats, **SHORT) for _ in range(2))
    parent = tmp_path / "runs" / "python"
    assert first.folder.path == parent / "kl_dp-Net-to-Net-1" and second.folder.path == parent / "kl_dp-Net-to-Net-2"
    assert first.folder.results == first.results
    with pytest.raises(UserError):
        ktlight.transfer(Net(64), Net(64, seed=1), *floats, method="cd", **SHORT)
    with pytest.raises(UserError):
        ktlight.transfer(Net(64), Pair(64), *floats, **SHORT)
    assert sorted(path.name for path in parent.iterdir()) == ["kl_dp-Net-to-Net-1", "kl_dp-Net-to-Net-2"]


def test_a_folder_of_somebody_else_s_is_refused(floats: tuple[Any, Any], tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(UserError, match=r"holds thesis\.tex"):
        ktlight.transfer(Net(64), Net(64, seed=1), *floats, folder=tmp_path, **SHORT)
    assert (tmp_path / "thesis.tex").read_text() == "mine"


def test_a_failing_call_leaves_the_earlier_result_of_its_folder(floats: tuple[Any, Any], tmp_path: Path) -> None:
    first = ktlight.transfer(Net(64), Net(64, seed=1), *floats, folder=tmp_path, **SHORT)
    with pytest.raises(UserError, match="features"):
        ktlight.transfer(Net(64), Net(64, seed=1), *floats, folder=tmp_path, method="cd", **SHORT)
    assert first.folder.results == first.results and not (tmp_path / "previous-1").exists()


def test_a_finished_call_is_not_run_again(
    floats: tuple[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    student, teacher = Net(64), Net(64, seed=1)
    first = ktlight.transfer(student, teacher, *floats, **SHORT)
    results = first.folder.results_file.stat().st_mtime_ns
    monkeypatch.setattr("ktlight.api.run_transfer", lambda *_: pytest.fail("it trains again"))
    for folder in (None, first.folder.path):
        again = ktlight.transfer(student, teacher, *floats, folder=folder, resume=True, **SHORT)
        assert again.folder.path == first.folder.path and again.results == first.results
        for name, value in first.student.network.state_dict().items():
            assert torch.equal(value, again.student.network.state_dict()[name])
    with pytest.raises(UserError, match="another config"):  # other weights, the same options
        ktlight.transfer(student, Net(64, seed=2), *floats, resume=True, **SHORT)
    with pytest.raises(UserError, match=r"another config.*lr: 0\.3"):
        ktlight.transfer(student, teacher, *floats, resume=True, **SHORT | {"lr": 0.3})
    assert first.folder.results_file.stat().st_mtime_ns == results


class Noisy(torch.utils.data.Dataset[Any]):
    """Random transforms, as most training sets have."""

    def __init__(self, samples: Any, stop_after: int = 10**9) -> None:
        self.samples, self.reads, self.stop_after = samples, 0, stop_after

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Any:
        self.reads += 1
        if self.reads > self.stop_after:
            raise KeyboardInterrupt
        image, label = self.samples[index]
        return image + 0.1 * torch.randn_like(image), label


@pytest.mark.parametrize("identity", [None, "digits with noise"])
def test_an_interrupted_call_continues(
    identity: str | None, floats: tuple[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the third of four epochs, after 1,200 reads for statistics; random transforms make it no other call."""
    monkeypatch.chdir(tmp_path)
    train, val = floats
    options = {"lr": 0.1, "epochs": 4, "identity": identity}
    overrides = [*QUICK, "trainer.checkpoint_every_seconds=0"]
    whole = ktlight.transfer(
        Net(64), Net(64, seed=1), Noisy(train), val, folder="whole", overrides=overrides, **options
    )
    with pytest.raises(KeyboardInterrupt, match=r"whole epochs? kept; .*kl_dp-Net-to-Net-1', resume=True"):
        ktlight.transfer(Net(64), Net(64, seed=1), Noisy(train, 3100), val, overrides=overrides, **options)
    resumed = ktlight.transfer(Net(64), Net(64, seed=1), Noisy(train), val, resume=True, overrides=overrides, **options)
    assert resumed.folder.path.name == "kl_dp-Net-to-Net-1"
    assert resumed.results["weights_after"] == whole.results["weights_after"]


def test_the_outcome_is_short_to_read(floats: tuple[Any, Any], tmp_path: Path) -> None:
    train, val = floats
    outcome = ktlight.transfer(Net(64), trained(train, 64, 1), train, val, folder=tmp_path / "run", **SHORT)
    shown, results = str(outcome), outcome.results
    assert len(shown.splitlines()) <= 10 and len(repr(outcome)) < 200 and "\n" not in repr(outcome)
    low, high = results["transfer_delta_ci95"]
    figures = [f"{results[name]:.2f}" for name in ("acc_before", "acc_after", "knowledge_gain", "knowledge_loss")]
    for part in (
        "kl_dp: Net -> Net",
        *figures,
        f"{low:+.2f} to {high:+.2f}",
        str(tmp_path / "run"),
        ".student.network",
    ):
        assert part in shown
    assert ("within noise" in shown) == (low <= 0 <= high)


SCRIPT = """
import torch
from torch.utils.data import TensorDataset
import ktlight
images, labels = torch.randn(60, 1, 4, 4), torch.arange(60) % 3
net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))
data = TensorDataset(images, labels)
print(ktlight.transfer(net, torch.nn.Sequential(net), data, data, epochs=3))
"""


def test_a_script_reads_what_is_being_done(tmp_path: Path) -> None:
    """Where no logging is set up, Python shows warnings only."""
    ended = subprocess.run([sys.executable, "-c", SCRIPT], cwd=tmp_path, capture_output=True, text=True, check=True)
    said = ended.stderr.splitlines()
    assert "kl_dp: Sequential -> Sequential, 3 epochs; 60 training and 60 held-out samples" in ended.stderr
    assert len([line for line in said if line.strip()]) <= 3, said
    assert "transfer delta" in ended.stdout


def test_the_process_is_left_as_it_was(
    floats: tuple[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    student, teacher = Net(64), Net(64, seed=1)
    before = process()
    ktlight.transfer(student, teacher, *floats, **SHORT)
    assert process().differences(before) == []


def test_the_process_is_left_as_it_was_when_a_call_fails(
    floats: tuple[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    student, teacher = Net(64), Net(64, seed=1)
    before = process()
    with pytest.raises(UserError, match="unknown method"):
        ktlight.transfer(student, teacher, *floats, method="kl_dpp")
    assert process().differences(before) == []
    with pytest.raises(KeyboardInterrupt):
        ktlight.transfer(student, teacher, Noisy(floats[0], 1000), floats[1], **SHORT)
    assert process().differences(before) == []


APPLICATION = """
import hydra, torch, ktlight
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from torch.utils.data import TensorDataset

@hydra.main(version_base="1.2", config_path=None)
def app(config: DictConfig) -> None:
    outer = GlobalHydra.instance().hydra, HydraConfig.get(), hydra.version.getbase()
    data = TensorDataset(torch.randn(60, 1, 4, 4), torch.arange(60) % 3)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))
    outcome = ktlight.transfer(net, torch.nn.Sequential(net), data, data, lr=config.lr, epochs=1)
    assert outer == (GlobalHydra.instance().hydra, HydraConfig.get(), hydra.version.getbase())
    assert not OmegaConf.has_resolver("run_id")
    print("done", config.lr, outcome.folder.path)

app()
"""


def test_inside_a_hydra_application(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APPLICATION)
    command = [sys.executable, "app.py", "-m", "+lr=0.1,0.2"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    done = [line.split()[1:] for line in ended.stdout.splitlines() if line.startswith("done")]
    assert [lr for lr, _ in done] == ["0.1", "0.2"], ended.stderr
    assert [Path(folder).name[-2:] for _, folder in done] == ["-1", "-2"]


def test_in_a_notebook_that_has_initialised_hydra(
    floats: tuple[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "mine.yaml").write_text("answer: 42\n")
    with hydra.initialize_config_dir(str(tmp_path / "own"), version_base="1.3"):
        ktlight.transfer(Net(64), Net(64, seed=1), *floats, **SHORT)
        assert hydra.compose("mine").answer == 42


class Counted(Net):
    calls = 0

    def forward(self, image: Tensor) -> Tensor:
        type(self).calls += 1
        return super().forward(image)


def test_frozen_networks_run_once_on_tensors(
    floats: tuple[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images of a `TensorDataset` are the same every time: what a teacher says of them is stored."""
    monkeypatch.setenv("KTLIGHT_CACHE", str(tmp_path / "cache"))
    student, teacher, calls, outcomes = Net(64), Counted(64, seed=1), [], []
    for number in range(2):
        Counted.calls = 0
        outcomes.append(ktlight.transfer(student, teacher, *floats, folder=tmp_path / f"{number}", **SHORT))
        calls.append(Counted.calls)
    assert calls[0] > 2 and calls[1] == 1, calls  # once, to count its logits
    assert outcomes[0].results["weights_after"] == outcomes[1].results["weights_after"]


def test_a_model_without_weights_for_much_data(pixels: tuple[Any, Any], tmp_path: Path) -> None:
    options = [*QUICK, "data.pretrain.max_images=10"]
    with pytest.raises(UserError, match=r"overrides=\['student.checkpoint=FILE'\].*max_images=160") as error:
        ktlight.transfer("test_convnext2", Net(3072), *pixels, folder=tmp_path, overrides=options)
    assert "task=" not in str(error.value)


def test_several_processes_need_one_folder(floats: tuple[Any, Any]) -> None:
    with pytest.raises(UserError, match="needs folder="):
        ktlight.transfer(Net(64), Net(64, seed=1), *floats, overrides=["trainer=cpu", "trainer.devices=2"])


@pytest.fixture(scope="module")
def foreign(floats: tuple[Any, Any]) -> Net:
    """A trained network of 12 classes: those of the data in another order, and two that the data do not have."""
    net = trained(floats[0], 64, 1, steps=60)
    order, layer = torch.arange(10).flip(0), net.layers[4]
    wider = nn.Linear(32, 12)
    with torch.no_grad():
        wider.weight[:10], wider.bias[:10] = layer.weight[order], layer.bias[order]
        wider.weight[10:], wider.bias[10:] = 0, -1
    net.layers[4] = wider
    return net.eval()


CLASSES_OF_FOREIGN = [*range(9, -1, -1), -1, -1]


def test_a_teacher_of_other_classes(floats: tuple[Any, Any], foreign: Net, tmp_path: Path) -> None:
    train, val = floats
    student = trained(train, 64, 0, steps=5)
    outcomes = [
        ktlight.transfer(student, teacher, train, val, folder=tmp_path / name, labels=labels, **SHORT)
        for name, teacher, labels in (
            ("mapped", foreign, {"teacher": CLASSES_OF_FOREIGN}),
            ("plain", trained(train, 64, 1, steps=60), None),
            ("learned", foreign, {"teacher": "learned"}),
        )
    ]
    mapped, plain, learned = (outcome.results for outcome in outcomes)
    assert mapped["acc_teacher"] == plain["acc_teacher"] > 80
    assert mapped["acc_after"] == pytest.approx(plain["acc_after"], abs=1) and mapped["transfer_delta"] > 10
    assert learned["acc_teacher"] > 70 and learned["transfer_delta"] > 10


def test_a_call_with_learned_labels_is_known_when_it_is_resumed(
    floats: tuple[Any, Any], foreign: Net, tmp_path: Path
) -> None:
    train, val = floats
    call = {"folder": tmp_path / "run", "labels": {"teacher": "learned"}, **SHORT}
    first = ktlight.transfer(Net(64), foreign, train, val, **call)
    again = ktlight.transfer(Net(64), foreign, train, val, resume=True, **call)
    assert again.results == first.results
    call["labels"] = {"teacher": CLASSES_OF_FOREIGN}
    with pytest.raises(UserError):
        ktlight.transfer(Net(64), foreign, train, val, resume=True, **call)


def test_a_teacher_of_classes_in_no_known_order_is_refused(
    floats: tuple[Any, Any], foreign: Net, tmp_path: Path
) -> None:
    train, val = floats
    wrong = [(each + 1) % 10 if each >= 0 else -1 for each in CLASSES_OF_FOREIGN]
    with pytest.raises(UserError, match=r"right on \d.*% of 400 training images, as guessing among 10 classes is"):
        ktlight.transfer(Net(64), foreign, train, val, folder=tmp_path, labels={"teacher": wrong}, **SHORT)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, "tells 12 classes apart, but the data have 10: say with labels="),
        ({"teacher": [0, 1]}, "labels lists 2 classes, but the teacher Net tells 12 apart"),
        ({"teacher": [*range(11), -1]}, "labels has 10 for a class of the teacher Net"),
        ({"teacher": [-1] * 12}, "maps no class of the teacher Net"),
        ({"teacher": "synset"}, "is for models given by name"),
        ({"techer": "learned"}, "names the role 'techer'. Did you mean teacher?"),
    ],
)
def test_labels_that_cannot_be(
    labels: Any, message: str, floats: tuple[Any, Any], foreign: Net, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message.replace("?", r"\?")):
        ktlight.transfer(Net(64), foreign, *floats, folder=tmp_path, labels=labels, **SHORT)


def test_a_student_of_other_classes_needs_rows_to_take_over(
    floats: tuple[Any, Any], foreign: Net, tmp_path: Path
) -> None:
    labels = {"student": CLASSES_OF_FOREIGN}
    with pytest.raises(UserError, match="no layer with a row for each class"):
        ktlight.transfer(foreign, Net(64), *floats, folder=tmp_path, labels=labels, **SHORT)
