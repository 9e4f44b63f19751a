"""Networks with features of several widths, for the methods that learn from them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import tiny
import torch
from lightning.pytorch.callbacks import Callback
from torch import nn

from ktlight.methods.features import FeatureMethod
from ktlight.models.classifier import Classifier
from ktlight.models.sources import LiveSource
from ktlight.routing.confidence import MostConfident
from ktlight.routing.router import SampleRouter
from ktlight.routing.rules import RoutingRule
from ktlight.training.trainer import training_context


class Featured(nn.Module):
    """Two layers, with timm's name for the second."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(3 * tiny.SIZE**2, width), nn.Tanh())
        self.head = nn.Linear(width, tiny.CLASSES)

    def get_classifier(self) -> nn.Module:
        return self.head

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(image))


def featured(seed: int, width: int) -> Classifier:
    torch.manual_seed(seed)
    return Classifier(
        Featured(width), tiny.Scale(), name=f"featured{seed}", architecture="featured", num_classes=tiny.CLASSES
    )


def networks() -> list[Classifier]:
    """Return a student and a teacher of different widths.

    Not below eight: there, some processors round a row by its place in the batch.
    """
    return [featured(0, 8), featured(1, 16)]


def sources(models: list[Classifier]) -> list[LiveSource]:
    return [LiveSource(name, model.frozen_copy()) for name, model in zip(("student", "teacher"), models, strict=True)]


class Record(Callback):
    """Keeps the batches as they were routed, and the terms that the method made of them."""

    def __init__(self) -> None:
        self.batches: list[dict[str, Any]] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.batches.append({**batch, "loss": outputs["loss"].detach(), "epoch": trainer.current_epoch})


def train(
    method: FeatureMethod, models: list[Classifier], rule: RoutingRule | None = None, **options: Any
) -> tuple[lightning.Trainer, Record]:
    """Train with the sources that the models are before the training."""
    rule, record = rule or MostConfident(use_labels=True), Record()
    router = SampleRouter(rule.candidates(sources(models)), rule, features=True)
    return tiny.fit(method, callbacks=[router, record], **options), record


def resumed_and_whole(make: Callable[[list[Classifier]], FeatureMethod], folder: Path) -> list[dict[str, torch.Tensor]]:
    """Return the final state of a run that was continued after two of four epochs, and that of one in one go."""

    def run(epochs: int, checkpoint: Path | None = None) -> dict[str, torch.Tensor]:
        models, rule = networks(), MostConfident(use_labels=True)
        torch.manual_seed(epochs)  # nothing may depend on the state of the generator
        trainer = lightning.Trainer(
            max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, use_distributed_sampler=False,
            callbacks=[SampleRouter(sources(models), rule, features=True)],
        )  # fmt: skip
        method, data = make(models), tiny.data_module()
        method.context = training_context(data, trainer)
        trainer.fit(method, datamodule=data, ckpt_path=checkpoint, weights_only=True)
        trainer.save_checkpoint(folder / f"{epochs}.ckpt")
        return {name: value.clone() for name, value in method.state_dict().items()}

    run(2)
    whole = run(4)
    return [run(4, folder / "2.ckpt"), whole]
