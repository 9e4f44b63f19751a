"""Weight averages as usable networks: recomputed BatchNorm statistics, and scores on held-out images."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ktlight.answers.ask import all_logits
from ktlight.functional.averages import average_states
from ktlight.functional.randomness import SAMPLE_STREAM, random_order
from ktlight.models.classifier import Classifier
from ktlight.report.results import accuracy
from ktlight.stages.setting import Setting
from ktlight.training.processes import agreed

STATISTICS_IMAGES = 2048
BatchNorm = nn.modules.batchnorm._BatchNorm


class Score(NamedTuple):
    """A model's score on the held-out training images; scores compare by accuracy, then by likelihood.

    Attributes:
        acc: Accuracy in percent.
        log_likelihood: Mean log-probability of the labels, in nats.
    """

    acc: float
    log_likelihood: float


def average_into(
    classifier: Classifier, states: Sequence[Mapping[str, Tensor]], weights: Sequence[float], setting: Setting
) -> None:
    """Load the weighted mean of networks into a classifier, and recompute its BatchNorm statistics.

    Statistics cannot be averaged: they are recomputed on up to 2,048 training images in their first view.
    """
    device = setting.outputs.device.root
    classifier.network.load_state_dict(average_states(states, weights))
    classifier.to(device).eval()
    if layers := statistics_layers(classifier):
        view = setting.data.training_view(0)
        some = np.sort(random_order(view.rows, SAMPLE_STREAM, setting.config.seed)[:STATISTICS_IMAGES])
        batches = replace(view, rows=some).batches()
        take_statistics(classifier, layers, (batch["image"].to(device) for batch in batches))


def statistics_layers(module: nn.Module) -> list[BatchNorm]:
    """Return the BatchNorm layers whose statistics changed: those with trainable parameters."""
    layers = [layer for layer in module.modules() if isinstance(layer, BatchNorm) and layer.track_running_stats]
    return [layer for layer in layers if any(p.requires_grad for p in layer.parameters()) or not layer.affine]


@torch.no_grad()
def take_statistics(classifier: Classifier, layers: Sequence[BatchNorm], images: Iterable[Tensor]) -> None:
    """Set the layers' statistics to averages over batches of images; all other parts stay in evaluation mode."""
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # equal weight for every batch
        layer.train()
    for image in images:
        classifier(image)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
        layer.eval()


class HeldOut(NamedTuple):
    """A model's outputs on the held-out training images.

    Attributes:
        score: Accuracy and likelihood.
        prediction: Predicted class, ``[n]``.
        log_probability: Log-probability of the label in nats, ``[n]``.
    """

    score: Score
    prediction: Tensor
    log_probability: Tensor


def held_out(classifier: Classifier, setting: Setting) -> HeldOut:
    """Return a model's outputs on the held-out training images; all processes of a run agree on the score.

    Raises:
        UserError: If there are none.
    """
    images = setting.data.holdout_images(classifier.framing)
    labels_N = torch.from_numpy(images.labels)
    logits_NC = all_logits(classifier, images, setting.outputs).double()
    log_probability_N = -cross_entropy(logits_NC, labels_N, reduction="none")
    prediction_N = logits_NC.argmax(1)
    score = Score(accuracy(prediction_N, labels_N), float(log_probability_N.mean()))
    return HeldOut(agreed(score), prediction_N, log_probability_N)


def state_of(classifier: Classifier) -> dict[str, Tensor]:
    """Return a copy of the network's weights and statistics on the CPU."""
    return {name: value.detach().cpu().clone() for name, value in classifier.network.state_dict().items()}
