"""Networks and data of a few dozen numbers, for tests that look into a training run."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import lightning
import numpy as np
import torch
from hydra import compose, initialize_config_dir
from lightning.pytorch.callbacks import Callback
from omegaconf import DictConfig
from torch import Tensor, nn

from ktlight.config.location import config_directory
from ktlight.config.model_source import register_models
from ktlight.config.resolvers import register_resolvers
from ktlight.data.arrays import TensorTable
from ktlight.data.augment import Augment
from ktlight.data.datamodule import ImageDataModule
from ktlight.data.dataset import ImageDataset, numbered_classes
from ktlight.methods.base import TransferMethod
from ktlight.methods.optimization import Optimization
from ktlight.models.classifier import Classifier
from ktlight.training.trainer import training_context
from ktlight.types import Batch

CLASSES = 4
SIZE = 4
SGD = partial(torch.optim.SGD, momentum=0.9)


class Scale(nn.Module):
    """Raw pixels to floats around 0."""

    def forward(self, image: Tensor) -> Tensor:
        return image.float() / 128 - 1


def config(*overrides: str) -> DictConfig:
    """Return the composed config of a run on the processor, without a command line around it."""
    register_models()
    register_resolvers()
    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        return compose("config", ["data=python", "trainer=cpu", "trainer.progress=false", *overrides])


def classifier(seed: int = 0, *middle: nn.Module) -> Classifier:
    """Return a linear classifier, with further layers between pixels and logits."""
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Flatten(), *middle, nn.Linear(3 * SIZE * SIZE, CLASSES))
    return Classifier(network, Scale(), name=f"tiny{seed}", architecture="tiny", num_classes=CLASSES)


def dataset(train: int = 48, val: int = 20, seed: int = 0) -> ImageDataset:
    """Return random images whose class shows in their brightness."""
    generator = torch.Generator().manual_seed(seed)

    def table(count: int) -> TensorTable:
        labels = np.arange(count) % CLASSES
        noise = torch.randint(0, 120, (count, 3, SIZE, SIZE), generator=generator)
        return TensorTable((noise + 40 * torch.from_numpy(labels)[:, None, None, None]).to(torch.uint8), labels)

    return ImageDataset("tiny", table(train), table(val), numbered_classes(CLASSES))


def data_module(batch_size: int = 8, holdout: float = 0.0, **sizes: int) -> ImageDataModule:
    """Return the data in plain views."""
    return ImageDataModule(
        dataset(**sizes), canvas=SIZE, augment=Augment("none"), fraction=1.0, views=None, batch_size=batch_size,
        eval_batch_size=7, workers=0, seed=0, holdout=holdout,
    )  # fmt: skip


def optimization(make: Callable[..., Any] = SGD, **options: Any) -> Optimization:
    return Optimization(make, **{"lr": 0.1, "lr_batch": None, **options})


def fit(
    method: TransferMethod, data: ImageDataModule | None = None, callbacks: Sequence[Callback] = (), **options: Any
) -> lightning.Trainer:
    """Train by Lightning with nothing around it; one epoch unless the options say otherwise."""
    trainer = lightning.Trainer(
        **{"max_epochs": 1, **options}, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0, callbacks=list(callbacks),
        use_distributed_sampler=False,
    )  # fmt: skip
    seen = (data or data_module()).seen_by(method.framings, method.views_at_once)
    method.context = training_context(seen, trainer)
    trainer.fit(method, datamodule=seen)
    return trainer


def batch(count: int = 12, seed: int = 0) -> Batch:
    """Return a batch with random pixels."""
    generator = torch.Generator().manual_seed(seed)
    return {
        "image": torch.randint(0, 256, (count, 3, SIZE, SIZE), generator=generator, dtype=torch.uint8),
        "label": torch.randint(0, CLASSES, (count,), generator=generator),
        "index": torch.arange(count),
        "view": 0,
    }
