"""Models' outputs on images: from the store or live, for one or several models, on any number of processes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import torch
from lightning import LightningModule
from torch import Tensor, nn
from tqdm.auto import tqdm

from ktlight.answers.stored import OutputStore
from ktlight.data.datamodule import ImageDataModule
from ktlight.data.ordered import OrderedView
from ktlight.metrics.predictions import Predictions
from ktlight.models.classifier import Classifier
from ktlight.models.sources import LiveSource
from ktlight.training.preemption import leave_between_batches
from ktlight.training.trainer import build_trainer
from ktlight.types import Batch


@dataclass(frozen=True)
class Answers:
    """Models' predictions on the test samples, on the CPU.

    Attributes:
        index: Sample indices, ascending, ``[n]``.
        label: Labels, ``[n]``.
        prediction: Predicted classes by model, ``[n]`` each.
        confidence: Log-odds of the predicted class by model, ``[n]`` each.
        mean: Class with the largest mean probability over the models, ``[n]``.
    """

    index: Tensor
    label: Tensor
    prediction: dict[str, Tensor]
    confidence: dict[str, Tensor]
    mean: Tensor


def ask(classifier: Classifier, images: OrderedView, outputs: OutputStore) -> Iterator[Tensor]:
    """Yield a model's logits in the data's classes, ``float [b, C]`` on the CPU, batch by batch in row order."""
    for own_logits_BZ in ask_in_own_classes(classifier, images, outputs):
        yield classifier.in_data_classes(own_logits_BZ)


def ask_in_own_classes(classifier: Classifier, images: OrderedView, outputs: OutputStore) -> Iterator[Tensor]:
    """Yield a model's logits in its own classes, ``float [b, Z]`` on the CPU, batch by batch in row order.

    A frozen model's logits come from the store if they are or can be stored; any other model runs now, in evaluation
    mode. At most one batch is held in memory.

    Args:
        classifier: The model.
        images: Plain images in the model's own framing, or a training view.
        outputs: The store, and where models run.
    """
    stored = outputs.outputs(classifier, [images]) if classifier.frozen else None
    if stored is not None:
        yield from (block.float() for block in torch.split(stored[0], images.batch_size))
        return
    source = LiveSource("", classifier.eval())
    source.to(outputs.device.root)
    bar = tqdm(
        total=len(images.rows), desc=f"Asking {classifier.name}", unit="images", disable=not outputs.progress,
        leave=False,
    )  # fmt: skip
    with bar, outputs.device.context():
        for batch in images.batches():
            moved: Batch = {**batch, "image": batch["image"].to(outputs.device.root)}
            yield source.logits(moved).float().cpu()
            bar.update(len(batch["label"]))
            leave_between_batches()


def all_logits(classifier: Classifier, images: OrderedView, outputs: OutputStore) -> Tensor:
    """Return all that `ask` yields, ``[rows, C]``."""
    return torch.cat(list(ask(classifier, images, outputs)))


def answers(models: Mapping[str, Classifier], data: ImageDataModule, outputs: OutputStore) -> Answers:
    """Return models' predictions on the test samples, each in its own framing.

    Args:
        models: The models by role.
        data: Its test images are the samples.
        outputs: The store, and where models run.
    """
    images = [data.test_images(model.framing) for model in models.values()]
    pairs = list(zip(models.values(), images, strict=True))
    live = not all(model.frozen and outputs.outputs(model, [view]) is not None for model, view in pairs)
    if live and outputs.processes > 1:
        gathered = _dealt(models, data, outputs)
    else:
        predictions = Predictions()
        predictions.sync_on_compute = False  # every process has seen all samples
        start, labels, rows = 0, torch.from_numpy(images[0].labels), torch.from_numpy(images[0].rows)
        for logits_K in zip(*(ask(model, view, outputs) for model, view in pairs), strict=True):
            stop = start + len(logits_K[0])
            predictions.update(torch.stack(logits_K), labels[start:stop], rows[start:stop])
            start = stop
        gathered = predictions.compute()
    return Answers(
        index=gathered["index"],
        label=gathered["label"],
        prediction=dict(zip(models, gathered["prediction"], strict=True)),
        confidence=dict(zip(models, gathered["confidence"], strict=True)),
        mean=gathered["mean"],
    )


class Evaluation(LightningModule):
    """Evaluates every model on every test sample, split over several processes."""

    def __init__(self, models: Mapping[str, Classifier]) -> None:
        super().__init__()
        self.models = nn.ModuleDict(models)
        self.predictions = Predictions()
        self.gathered: dict[str, Tensor] = {}

    def configure_model(self) -> None:
        """Leave the models whole, whatever the strategy."""

    def test_step(self, batches: list[Batch], batch_idx: int) -> None:
        """Collect the predictions for the same rows in each model's framing."""
        sources = [LiveSource(name, cast(Classifier, model)) for name, model in self.models.items()]
        logits_KBC = torch.stack(
            [
                source.classifier.in_data_classes(source.logits(batch).float())
                for source, batch in zip(sources, batches, strict=True)
            ]
        )
        self.predictions.update(logits_KBC, batches[0]["label"], batches[0]["index"])

    def on_test_epoch_end(self) -> None:
        """Gather the predictions of all processes."""
        self.gathered = {name: value.cpu() for name, value in self.predictions.compute().items()}


def _dealt(models: Mapping[str, Classifier], data: ImageDataModule, outputs: OutputStore) -> dict[str, Tensor]:
    evaluation = Evaluation(models)
    seen = data.seen_by([model.framing for model in models.values()])
    build_trainer(outputs.trainer_config).test(evaluation, datamodule=seen, verbose=False)
    return evaluation.gathered
