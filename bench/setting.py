"""Settings to time: models with random weights, random images, and the config that the command line would compose."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from ktlight.config.location import config_directory
from ktlight.config.model_source import register_models
from ktlight.config.resolvers import register_resolvers
from ktlight.data.arrays import TensorTable
from ktlight.data.dataset import ImageDataset, numbered_classes
from ktlight.models.build import new_classifier
from ktlight.models.classifier import Classifier
from ktlight.models.spec import ModelConfig


@dataclass(frozen=True)
class Model:
    """A timm model and further arguments of its constructor."""

    architecture: str
    arguments: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Setting:
    """The setting of a training step.

    Attributes:
        teacher: The teacher.
        student: The student.
        size: Side of the images in pixels.
        classes: Number of classes.
        batch: Images per step.
        steps: Timed steps per round.
    """

    teacher: Model
    student: Model
    size: int
    classes: int
    batch: int
    steps: int

    def __str__(self) -> str:
        names = f"{self.teacher.architecture} -> {self.student.architecture}"
        return f"{names}, batch {self.batch}, {self.size} px, {self.classes} classes"


# vit_base -> resnet50 in small: a forward pass of the teacher takes 1.4 times the operations of a step of the student
SMALL = Setting(Model("vit_tiny_patch16_224", (("patch_size", 8),)), Model("resnet10t"), 32, 100, 32, 6)
FULL = Setting(Model("vit_base_patch16_224"), Model("resnet50"), 224, 1000, 128, 30)
LAUNCH_BOUND = Setting(Model("resnet18"), Model("vit_tiny_patch16_224", (("patch_size", 4),)), 32, 100, 256, 50)
QUICK = Setting(Model("test_vit"), Model("test_convnext"), 32, 4, 8, 2)


def configured(setting: Setting, *overrides: str) -> DictConfig:
    """Return the composed config of a setting, without validation during training."""
    register_models()
    register_resolvers()
    options = [
        f"student={setting.student.architecture}",
        f"teacher={setting.teacher.architecture}",
        "data=python",
        "data.views=1",
        f"data.canvas={setting.size}",
        f"data.batch_size={setting.batch}",
        "data.augment.kind=pad_crop",
        "data.augment.padding=0.125",
        "data.augment.flip=true",
        "trainer.progress=false",
        "trainer.check_val_every_n_epoch=1000",
        *overrides,
    ]
    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        return compose("config", options)


def random_images(setting: Setting, train: int, val: int) -> ImageDataset:
    """Return random pixels with random labels."""
    generator = torch.Generator().manual_seed(0)

    def table(count: int) -> TensorTable:
        shape = (count, 3, setting.size, setting.size)
        images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
        return TensorTable(images, np.arange(count) % setting.classes)

    return ImageDataset("random", table(train), table(val), numbered_classes(setting.classes))


def classifier(model: Model, setting: Setting) -> Classifier:
    """Return a classifier with random weights."""
    torch.manual_seed(0)
    spec = ModelConfig(model.architecture, model.architecture, img_size=setting.size, kwargs=dict(model.arguments))
    return new_classifier(spec, num_classes=setting.classes, native_size=setting.size)


@contextmanager
def own_cache() -> Iterator[Path]:
    """Yield a temporary folder for all files, including the store."""
    before = os.environ.get("KTLIGHT_CACHE")
    with tempfile.TemporaryDirectory(prefix="ktlight-bench-") as name:
        os.environ["KTLIGHT_CACHE"] = f"{name}/cache"
        try:
            yield Path(name)
        finally:
            os.environ.pop("KTLIGHT_CACHE")
            if before is not None:
                os.environ["KTLIGHT_CACHE"] = before
