"""An entry is shared if and only if everything is the same that its logits are a function of."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
import tiny
import torch
from torch import nn

from ktlight.answers import keys, stored
from ktlight.answers.keys import keys_of
from ktlight.answers.stored import OutputStore
from ktlight.data.augment import Augment
from ktlight.data.datamodule import ImageDataModule
from ktlight.models.classifier import Classifier
from ktlight.store.key import Key

from .conftest import KEY


@pytest.mark.parametrize("name", [field.name for field in fields(Key)])
def test_every_fact_counts_but_the_name(name: str) -> None:
    changed = replace(KEY, **{name: 1 if name == "view" else "other"})
    assert (changed.digest == KEY.digest) == (name == "model")


@dataclass
class Case:
    """What is asked of the store."""

    model: Classifier
    dataset: Any
    options: dict[str, Any]
    overrides: list[str]
    view: int = 0

    def digest(self) -> str:
        outputs = OutputStore(tiny.config(*self.overrides))
        data = ImageDataModule(self.dataset, **self.options)
        wanted = outputs.training_outputs(self.model.frozen_copy(), data, epochs=3)
        return keys_of(wanted, outputs.device.name)[self.view].digest


def case() -> Case:
    options = dict(
        canvas=tiny.SIZE, augment=Augment("pad_crop"), fraction=1.0, views=3, batch_size=8, eval_batch_size=7,
        workers=0, seed=0,
    )  # fmt: skip
    return Case(tiny.classifier(0, nn.ReLU()), tiny.dataset(), options, [])


@cache
def unchanged() -> str:
    return case().digest()


def change_weight(case: Case) -> None:
    with torch.no_grad():
        next(case.model.parameters()).view(-1)[0] += 1e-6


def change_image(case: Case) -> None:
    case.dataset.train.images[5, 0, 0, 0] += 1


def change_label(case: Case) -> None:
    case.dataset.train.labels[5] = 0


def rename(case: Case) -> None:
    case.model.name = "another"


CHANGES: dict[str, Callable[[Case], object]] = {
    "weights": change_weight,
    "activation": lambda case: setattr(case.model.network, "1", nn.GELU()),
    "setting": lambda case: setattr(case.model.network, "pool", "max"),
    "architecture": lambda case: setattr(case.model, "architecture", "other"),
    "preprocess": lambda case: setattr(case.model, "preprocess", nn.Identity()),
    "image": change_image,
    "label": change_label,
    "rows": lambda case: case.options.update(fraction=0.5),
    "held out": lambda case: case.options.update(holdout=0.25),
    "canvas": lambda case: case.options.update(canvas=8),
    "augment": lambda case: case.options.update(augment=Augment("pad_crop", flip=True)),
    "padding": lambda case: case.options.update(augment=Augment("pad_crop", padding=0.25)),
    "seed": lambda case: case.options.update(seed=1),
    "view": lambda case: setattr(case, "view", 1),
    "precision": lambda case: case.overrides.append("trainer.precision=bf16-mixed"),
    "form": lambda case: case.overrides.append("store.top_k=1") or setattr(case.model, "num_classes", 5),
}
NO_CHANGES: dict[str, Callable[[Case], object]] = {
    "name": rename,
    "batch sizes": lambda case: case.options.update(batch_size=5, eval_batch_size=3),
    "workers": lambda case: case.options.update(workers=1),
    "number of views": lambda case: case.options.update(views=None),
    "gradients": lambda case: case.model.requires_grad_(False),
    "mode": lambda case: case.model.eval(),
    "test split": lambda case: setattr(case, "dataset", replace(case.dataset, val=tiny.dataset(seed=1).val)),
}


@pytest.mark.parametrize("name", [*CHANGES, *NO_CHANGES])
def test_what_changes_the_key(name: str) -> None:
    changed = case()
    (CHANGES | NO_CHANGES)[name](changed)
    assert (unchanged() != changed.digest()) == (name in CHANGES)


def test_the_software_and_the_device_count(monkeypatch: pytest.MonkeyPatch) -> None:
    before = case().digest()
    monkeypatch.setattr(keys, "SOFTWARE", keys.SOFTWARE.replace("simplejpeg ", "simplejpeg 0"))
    assert case().digest() != before
    assert all(f"{name} " in keys.SOFTWARE for name in ("torch", "torchvision", "timm", "simplejpeg"))


def test_gpus_of_different_models_share_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Trainer:
        world_size, precision = 1, "32-true"
        strategy = SimpleNamespace(root_device=torch.device("cuda", 0))
        precision_plugin = SimpleNamespace(forward_context=None)

    monkeypatch.setattr(stored, "build_trainer", lambda config: Trainer)
    names = set()
    for name in ("NVIDIA H100", "NVIDIA A100"):
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device, name=name: name)
        names.add(OutputStore(tiny.config()).device.name)
    assert names == {"NVIDIA H100 32-true", "NVIDIA A100 32-true"}
