"""Weight averages as usable networks, and their scores on held-out images."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ktlight.answers.ask import all_logits
from ktlight.functional.averages import average_states
from ktlight.models.classifier import Classifier
from ktlight.report.results import accuracy
from ktlight.stages.setting import Setting
from ktlight.stages.statistics import statistics_images, statistics_layers, take_statistics
from ktlight.training.processes import agreed


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
    """Load the weighted mean of networks into a classifier, and recompute BatchNorm statistics that it does not keep.

    Statistics cannot be averaged: they are recomputed on up to 2,048 training images in their first view.
    """
    device = setting.outputs.device.root
    classifier.network.load_state_dict(average_states(states, weights))
    classifier.to(device).eval()
    if layers := statistics_layers(classifier):
        batches = statistics_images(setting.data.training_view(0), setting.config.seed).batches()
        take_statistics(classifier, layers, (batch["image"].to(device) for batch in batches))


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
