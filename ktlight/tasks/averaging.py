"""Averages of networks that are put to use: BatchNorm statistics taken anew, and scores on held-out images."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import update_bn

from ktlight.functional import average_states
from ktlight.functional.randomness import SAMPLE_STREAM, random_order
from ktlight.models.classifier import Classifier
from ktlight.tasks.evaluation import live_logits
from ktlight.tasks.stage import Setting
from ktlight.tasks.training import agreed

STATISTICS_IMAGES = 2048


class Score(NamedTuple):
    """How well a model does on the held-out training images; scores compare by accuracy, then by likelihood.

    Attributes:
        acc: Accuracy in percent.
        log_likelihood: Mean log-probability of the labels, in nats.
    """

    acc: float
    log_likelihood: float


def average_into(
    classifier: Classifier, states: Sequence[Mapping[str, Tensor]], weights: Sequence[float], setting: Setting
) -> None:
    """Give a classifier the weighted mean of networks, with BatchNorm statistics of its own.

    Statistics do not average: those of the mean network are taken from up to 2,048 training images in their first
    view.
    """
    device = setting.cache.device.root
    classifier.network.load_state_dict(average_states(states, weights))
    classifier.to(device)
    if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in classifier.modules()):
        view = setting.data.ordered_training_view(0)
        some = np.sort(random_order(view.rows, SAMPLE_STREAM, setting.config.seed)[:STATISTICS_IMAGES])
        batches = replace(view, rows=some).batches()
        update_bn((batch["image"] for batch in batches), classifier, device=device)
    classifier.eval()


def held_out_score(classifier: Classifier, setting: Setting) -> Score:
    """Return the score on the training images kept apart; all processes of a run agree on it.

    Raises:
        UserError: There are none.
    """
    images = setting.data.ordered_holdout_images()
    labels_N = torch.from_numpy(images.labels)
    logits_NC = live_logits(classifier.eval(), images, setting.cache.device)
    right = (logits_NC.argmax(1) == labels_N).double().mean()
    return agreed(Score(float(100 * right), -float(cross_entropy(logits_NC.double(), labels_N))))


def state_of(classifier: Classifier) -> dict[str, Tensor]:
    """Return a copy of the network's weights and statistics on the processor."""
    return {name: value.detach().cpu().clone() for name, value in classifier.network.state_dict().items()}
