"""A teacher whose classes are in another order than the data's, or other classes, through a whole run."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import timm
import torch
from conftest import Command
from torch import nn
from torchvision.io import write_png

NAMES = ["ant", "bee", "cat"]
ORDER = [2, 0, 1]


def photos(root: Path) -> None:
    """Write a training and a validation split of noise, brighter from class to class."""
    generator = torch.Generator().manual_seed(0)
    for split, count in (("train", 8), ("val", 12)):
        for level, name in enumerate(NAMES):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                noise = torch.randint(0, 120, (3, 32, 32), generator=generator) + 60 * level
                write_png(noise.to(torch.uint8), str(folder / f"{number}.png"))


def trained(command: Command) -> None:
    """Train a teacher on the photos; an untrained one would be refused for guessing."""
    data = ("data=imagefolder", "data.root=photos", "pretrain.epochs=2")
    ended = command("task=pretrain", "student=test_vit", *data, "hydra.run.dir=trained")
    assert ended.code == 0, ended.err


def save(folder: Path, names: list[str], order: list[int] | None = None) -> str:
    network = timm.create_model("local-dir:trained/student", pretrained=True)
    if order:
        layer = network.get_classifier()
        layer.weight, layer.bias = nn.Parameter(layer.weight[order]), nn.Parameter(layer.bias[order])
    timm.models.save_for_hf(network, str(folder), model_config={"label_names": names}, safe_serialization=True)
    return f"teacher.checkpoint={folder}"


@pytest.mark.parametrize("method", ["kl", "kdcl"])
def test_a_teacher_with_its_classes_in_another_order(method: str, command: Command, tmp_path: Path) -> None:
    photos(tmp_path / "photos")
    trained(command)
    options = [
        "data=imagefolder", "data.root=photos", "student=test_resnet", "teacher=test_vit", f"method={method}",
        "pretrain.epochs=1", "trainer.max_epochs=1",
    ]  # fmt: skip
    teachers = {
        "twin": save(tmp_path / "twin", NAMES),
        "permuted": save(tmp_path / "p", [NAMES[c] for c in ORDER], ORDER),
    }
    for folder, teacher in teachers.items():
        ended = command(*options, teacher, f"hydra.run.dir=run-{folder}")
        assert ended.code == 0, ended.err
    twin, permuted = (pq.read_table(tmp_path / f"run-{folder}" / "predictions.parquet") for folder in teachers)
    assert twin.equals(permuted)
    results = [json.loads((tmp_path / f"run-{folder}" / "results.json").read_text()) for folder in teachers]
    assert results[0]["weights_after"] == results[1]["weights_after"]
    for role in ("student", "teacher") if method == "kdcl" else ("student",):
        config = json.loads((tmp_path / "run-permuted" / role / "config.json").read_text())
        assert config["label_names"] == NAMES


def test_a_teacher_of_other_classes_is_refused(command: Command, tmp_path: Path) -> None:
    photos(tmp_path / "photos")
    trained(command)
    teacher = save(tmp_path / "foreign", ["ant", "bird", "cow"])
    ended = command(
        "data=imagefolder", "data.root=photos", "teacher=test_vit", teacher, "pretrain.epochs=1", "student=test_resnet"
    )
    assert ended.code == 1
    assert "labels=names covers 1 of 3 (without bee, cat)" in ended.err
