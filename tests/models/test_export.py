import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file
from torch import nn

from ktlight.errors import UserError
from ktlight.models.classifier import Classifier
from ktlight.models.export import export_classifier, whole_folder
from ktlight.models.preprocess import Preprocess
from ktlight.models.provenance import Provenance
from tests.models.conftest import images

RECORD = {"acc": 97.5, "epochs": 20, "data": "digits", "optim": {"lr": 1e-4}}


@pytest.mark.parametrize(
    ("architecture", "fields"),
    [
        ("test_resnet", {}),
        ("test_vit", {}),
        ("test_vit", {"img_size": 48, "kwargs": {"depth": 1, "patch_size": 8}}),
        ("test_efficientnet", {"img_size": 64}),
        ("test_convnext", {}),
    ],
)
def test_timm_loads_what_was_exported(make, tmp_path, architecture, fields):
    classifier = make(architecture, **fields)
    names = [f"class {label}" for label in range(10)]
    export_classifier(classifier, tmp_path / "student", record=RECORD, class_names=names)

    network = timm.create_model(f"local-dir:{tmp_path / 'student'}", pretrained=True).eval()
    preprocess = Preprocess.from_network(network)
    assert repr(preprocess) == repr(classifier.preprocess)
    raw = images(4, 32)
    torch.testing.assert_close(network(preprocess(raw)), classifier(raw), rtol=0, atol=0)
    assert network.pretrained_cfg["label_names"] == names
    assert json.loads((tmp_path / "student" / "training_record.json").read_text()) == RECORD
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["student"]


def test_channels_last_weights_are_exported(make, tmp_path):
    classifier = make().to(memory_format=torch.channels_last)
    export_classifier(classifier, tmp_path / "student", record={})
    network = timm.create_model(f"local-dir:{tmp_path / 'student'}", pretrained=True)
    torch.testing.assert_close(network.state_dict(), dict(classifier.network.state_dict()))
    assert classifier.network.conv1[0].weight.is_contiguous(memory_format=torch.channels_last)


def test_the_card_says_how_to_load_and_push(make, tmp_path):
    export_classifier(make(), tmp_path / "student", record=RECORD)
    card = (tmp_path / "student" / "README.md").read_text()
    assert card.startswith("---\ntags:\n- image-classification\n- ktlight\n- timm\nlibrary_name: timm\n")
    assert 'timm.create_model("local-dir:' in card
    assert "hf upload" in card
    assert "| acc | 97.50 |" in card and "licen" not in card


def test_the_card_rounds_shows_the_interval_and_names_the_licence(make, tmp_path):
    classifier = make()
    classifier.provenance = Provenance("hub", "timm/test_resnet.r160_in1k", licence="apache-2.0")
    record = {"delta": 7.000000000000007, "mcnemar_p": 0.000123456, "ci95": [0.5678, 2.6234], "epochs": 6, "none": None}
    export_classifier(classifier, tmp_path / "student", record=record)
    card = (tmp_path / "student" / "README.md").read_text()
    assert card.startswith("---\nlicense: apache-2.0\ntags:\n")
    assert "started from are licensed under apache-2.0." in card
    for row in ("| delta | 7.00 |", "| mcnemar_p | 0.00012 |", "| ci95 | +0.57 to +2.62 |", "| epochs | 6 |"):
        assert row in card
    assert "none" not in card


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_who_may_read_the_files_is_what_the_umask_says(make, tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        export_classifier(make(), tmp_path / "student", record={})
    finally:
        os.umask(before)
    files = [*(tmp_path / "student").iterdir()]
    assert {file.name for file in files} >= {"model.safetensors", "config.json", "README.md"}
    assert {file.stat().st_mode & 0o777 for file in files} == {mode}


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(6, 6)
        self.second = nn.Linear(6, 6)
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.second(self.first(x))


def test_of_a_users_own_network_the_state_dict_is_kept(tmp_path):
    network = Tied()
    classifier = Classifier(network, nn.Identity(), name="mine", architecture="Tied", num_classes=6)
    export_classifier(classifier, tmp_path / "student", record=RECORD)
    twin = Tied()
    twin.load_state_dict(load_file(tmp_path / "student" / "model.safetensors"))
    torch.testing.assert_close(dict(twin.state_dict()), dict(network.state_dict()))
    card = (tmp_path / "student" / "README.md").read_text()
    assert "your own class" in card and "Tied(...)" in card and "create_model" not in card
    assert not (tmp_path / "student" / "config.json").exists()


def test_a_users_network_of_timm_is_still_a_timm_folder(tmp_path):
    network = timm.create_model("test_resnet", num_classes=4).eval()
    classifier = Classifier(network, nn.Identity(), name="mine", architecture="test_resnet", num_classes=4)
    export_classifier(classifier, tmp_path / "student", record={})
    loaded = timm.create_model(f"local-dir:{tmp_path / 'student'}", pretrained=True).eval()
    torch.testing.assert_close(loaded(torch.ones(1, 3, 64, 64)), network(torch.ones(1, 3, 64, 64)))


def test_a_later_export_takes_the_place_of_the_earlier(make, tmp_path):
    folder = tmp_path / "student"
    export_classifier(make(), folder, record={"run": 1})
    (folder / "stale").touch()
    export_classifier(make(), folder, record={"run": 2})
    assert json.loads((folder / "training_record.json").read_text()) == {"run": 2}
    assert not (folder / "stale").exists()
    assert [entry.name for entry in tmp_path.iterdir()] == ["student"]


def test_a_failure_leaves_what_was_there(tmp_path):
    folder = tmp_path / "student"
    folder.mkdir()
    (folder / "kept").touch()
    for failure, raised in (
        (OSError(28, "No space left on device"), UserError),
        (ZeroDivisionError(), ZeroDivisionError),
    ):
        with pytest.raises(raised), whole_folder(folder) as temporary:
            (temporary / "half").touch()
            raise failure
    assert [entry.name for entry in tmp_path.rglob("*")] == ["student", "kept"]


def test_a_folder_that_cannot_be_written(make, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="could not be written"):
        export_classifier(make(), tmp_path / "file" / "student", record={})


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from torch import nn
from ktlight.errors import UserError
from ktlight.models.classifier import Classifier
from ktlight.models.export import export_classifier
import timm
own, target = sys.argv[1] == "own", Path(sys.argv[2])
network = nn.Linear(1000, 500) if own else timm.create_model("test_resnet", num_classes=10)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
classifier = Classifier(network, nn.Identity(), name="a", architecture="a", num_classes=10)
try:
    export_classifier(classifier, target, record={})
except UserError as error:
    print(error)
"""


@pytest.mark.parametrize("kind", ["own", "timm"])
def test_a_full_disk_is_a_clear_error_and_leaves_nothing(tmp_path, kind):
    # a limit on the size of files makes writing fail in the middle of the weights, as a full disk does
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", FULL_DISK, kind, str(tmp_path / "zoo" / "student")]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert "student could not be written" in done.stdout
    assert not list((tmp_path / "zoo").iterdir())
