"""Predictions of several models on the test samples, on any number of processes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from lightning import LightningDataModule, LightningModule
from omegaconf import DictConfig
from torch import Tensor, nn

from ktlight.answers.stored import Device, OutputStore
from ktlight.data.datamodule import ImageDataModule, OrderedView
from ktlight.metrics.predictions import Predictions
from ktlight.models.classifier import Classifier
from ktlight.models.sources import LiveSource
from ktlight.training.trainer import build_trainer
from ktlight.types import Batch


@dataclass(frozen=True)
class Answers:
    """What models say of the test samples, on the processor.

    Attributes:
        index: Sample indices, ascending, ``[n]``.
        label: Labels, ``[n]``.
        prediction: Predicted class by model, ``[n]`` each.
        confidence: Log-odds of the predicted class by model, ``[n]`` each.
        mean: Class with the largest probability on average over the models, ``[n]``.
    """

    index: Tensor
    label: Tensor
    prediction: dict[str, Tensor]
    confidence: dict[str, Tensor]
    mean: Tensor


class Evaluation(LightningModule):
    """Asks every model about every test sample."""

    def __init__(self, models: Mapping[str, Classifier]) -> None:
        super().__init__()
        self.models = nn.ModuleDict(models)
        self.predictions = Predictions()
        self.gathered: dict[str, Tensor] = {}

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect a batch."""
        sources = [LiveSource(name, cast(Classifier, model)) for name, model in self.models.items()]
        logits_KBC = torch.stack([source.logits(batch).float() for source in sources])
        self.predictions.update(logits_KBC, batch["label"], batch["index"])

    def on_test_epoch_end(self) -> None:
        """Gather the predictions of all processes."""
        self.gathered = {name: value.cpu() for name, value in self.predictions.compute().items()}


def answers(config: DictConfig, models: Mapping[str, Classifier], data: LightningDataModule) -> Answers:
    """Return the predictions of every model on the validation split of ``data``.

    Args:
        config: The config group ``trainer``.
        models: The models by role.
        data: Its test loader gives the samples.
    """
    evaluation = Evaluation(models)
    build_trainer(config).test(evaluation, datamodule=data, verbose=False)
    return _answers(models, evaluation.gathered)


def frozen_answers(
    config: DictConfig, models: Mapping[str, Classifier], data: ImageDataModule, outputs: OutputStore
) -> Answers:
    """Return the predictions of models that never change, from the store where they can be stored."""
    images = data.ordered_test_images()
    stored = [outputs.outputs(model, [images]) for model in models.values()]
    logits = [outputs[0].float() for outputs in stored if outputs is not None]
    if len(logits) < len(models):
        return answers(config, models, data)
    predictions = Predictions()
    predictions.sync_on_compute = False  # every process has read all of them
    predictions.update(torch.stack(logits), torch.from_numpy(images.labels), torch.from_numpy(images.rows))
    return _answers(models, predictions.compute())


def plain_logits(classifier: Classifier, images: OrderedView, outputs: OutputStore) -> Tensor:
    """Return the logits ``[rows, C]`` of a frozen model for plain images, from the store where they can be stored."""
    stored = outputs.outputs(classifier, [images])
    return live_logits(classifier, images, outputs.device) if stored is None else stored[0].float()


def live_logits(classifier: Classifier, images: OrderedView, device: Device) -> Tensor:
    """Return the logits ``[rows, C]`` of a model in evaluation mode, computed now, on the processor."""
    source = LiveSource("", classifier)
    source.to(device.root)
    with device.context():
        answers = [
            source.logits({**batch, "image": batch["image"].to(device.root)}).float().cpu()
            for batch in images.batches()
        ]
    return torch.cat(answers)


def _answers(models: Mapping[str, Classifier], gathered: Mapping[str, Tensor]) -> Answers:
    return Answers(
        index=gathered["index"],
        label=gathered["label"],
        prediction=dict(zip(models, gathered["prediction"], strict=True)),
        confidence=dict(zip(models, gathered["confidence"], strict=True)),
        mean=gathered["mean"],
    )
