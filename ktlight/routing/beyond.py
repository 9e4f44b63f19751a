"""Routing rules beyond the paper: other measures of who knows more, soft instead of hard choices, and a control.

All choose among any number of sources; ties go to the lowest index, hence to the initial student.
"""

import torch
from torch import Tensor

from ktlight.errors import UserError
from ktlight.functional import (
    class_errors,
    entropy,
    fit_temperature,
    margin,
    mixed_target,
    most_confident,
    random_sources,
    select_target,
    soft_weights,
)
from ktlight.routing.rules import Routing, RoutingRule
from ktlight.types import Batch


class Soft(RoutingRule):
    """All sources teach together: the target is the mean of their probabilities, weighted by confidence.

    The source counted as the teacher of a sample is the one with the largest weight.

    Args:
        temperature: Of the weights ``softmax_m(log p_m / temperature)``: towards 0 the most confident source teaches
            alone, towards infinity all alike.
        use_labels: Weigh by the probability of the true class; otherwise by the highest probability of any class.
    """

    def __init__(self, temperature: float, use_labels: bool) -> None:
        if not temperature > 0:
            raise UserError(f"router.temperature={temperature} must be above 0; a small one makes the choice hard")
        self.temperature = temperature
        self.use_labels = use_labels

    def __call__(self, logits_MBC: Tensor, batch: Batch, student_BC: Tensor | None) -> Routing:
        """Return the most confident source and the mixed log-probabilities."""
        labels_B = batch["label"] if self.use_labels else None
        target_BC = mixed_target(logits_MBC, soft_weights(logits_MBC, self.temperature, labels_B))
        return Routing(most_confident(logits_MBC, labels_B), target_BC)


class Margin(RoutingRule):
    """The source in which the class leads its strongest rival by most teaches.

    With labels, a source that predicts the true class always goes before one that does not. Comparing probabilities
    does not promise that: a source that gives the label 0.3, and each other class less, is right, and yet behind one
    that gives it 0.4 and another class 0.6.

    Args:
        use_labels: Ask about the true class; otherwise about the class that each source itself predicts.
    """

    def __init__(self, use_labels: bool) -> None:
        self.use_labels = use_labels

    def __call__(self, logits_MBC: Tensor, batch: Batch, student_BC: Tensor | None) -> Routing:
        """Return the argmax of the margin over the sources."""
        source_B = margin(logits_MBC, batch["label"] if self.use_labels else None).argmax(0)
        return Routing(source_B, select_target(logits_MBC, source_B))


class Entropy(RoutingRule):
    """The source whose prediction has the lowest entropy teaches; needs no labels."""

    def __call__(self, logits_MBC: Tensor, batch: Batch, student_BC: Tensor | None) -> Routing:
        """Return the argmin of the entropy over the sources."""
        source_B = entropy(logits_MBC).argmin(0)
        return Routing(source_B, select_target(logits_MBC, source_B))


class Calibrated(RoutingRule):
    """The most confident source teaches, after each source's confidence has been calibrated on held-out images.

    Only the comparison sees the calibrated logits. The target stays what the source says: a calibrated target from the
    initial student would move the student also on the samples that are there to keep it as it is.

    Args:
        use_labels: Compare the probabilities of the true class; otherwise the highest probability of any class.
            Calibration itself takes the labels of the held-out images.
    """

    prepared_on = "holdout"

    def __init__(self, use_labels: bool) -> None:
        self.use_labels = use_labels
        self.temperature_M: Tensor | None = None

    def prepare(self, logits_MNC: Tensor, labels_N: Tensor) -> None:
        """Fit each source's temperature."""
        if len(labels_N) == 0:
            raise _not_calibrated()
        self.temperature_M = torch.stack([fit_temperature(logits_NC, labels_N) for logits_NC in logits_MNC])

    def __call__(self, logits_MBC: Tensor, batch: Batch, student_BC: Tensor | None) -> Routing:
        """Return the argmax of calibrated confidence over the sources."""
        if self.temperature_M is None:
            raise _not_calibrated()
        # The first batch moves the temperatures to its device, and nothing waits for that.
        self.temperature_M = self.temperature_M.to(logits_MBC, non_blocking=True)
        calibrated_MBC = logits_MBC / self.temperature_M[:, None, None]
        source_B = most_confident(calibrated_MBC, batch["label"] if self.use_labels else None)
        return Routing(source_B, select_target(logits_MBC, source_B))


class Classwise(RoutingRule):
    """Each class has its expert among the sources: whoever gives its training images the highest mean probability.

    Mean probabilities instead of accuracies, since sources often are right on nearly all of their training images; and
    compared as one minus the mean, which stays exact where they are nearly 1. Even so they then tell how well a source
    has memorised a class more than how well it knows it. Classes without images stay with the initial student.
    """

    prepared_on = "training"

    def __init__(self) -> None:
        self.expert_C: Tensor | None = None

    def prepare(self, logits_MNC: Tensor, labels_N: Tensor) -> None:
        """Find the expert of each class."""
        # One after the other and on the CPU, where sums have an order: so sources that are alike tie to the last bit.
        labels_N = labels_N.cpu()
        self.expert_C = torch.stack([class_errors(logits_NC.cpu(), labels_N) for logits_NC in logits_MNC]).argmin(0)

    def __call__(self, logits_MBC: Tensor, batch: Batch, student_BC: Tensor | None) -> Routing:
        """Return the expert of each sample's class."""
        assert self.expert_C is not None  # the task has prepared the rule
        # The first batch moves the experts to its device, and nothing waits for that.
        self.expert_C = self.expert_C.to(logits_MBC.device, non_blocking=True)
        source_B = self.expert_C[batch["label"]]
        return Routing(source_B, select_target(logits_MBC, source_B))


class Random(RoutingRule):
    """The control: a random share of the samples from the teachers, equally often, the rest from the initial student.

    Args:
        share: Probability that a teacher teaches a sample; 0 is self-distillation, 1 (one teacher) plain distillation.
        seed: Seed of the run. The choice is a function of (seed, view, index).
    """

    def __init__(self, share: float, seed: int) -> None:
        if not 0 <= share <= 1:
            raise UserError(f"router.share={share} must be from 0 to 1")
        self.share = share
        self.seed = seed

    def __call__(self, logits_MBC: Tensor, batch: Batch, student_BC: Tensor | None) -> Routing:
        """Return the drawn source of each sample."""
        source_B = random_sources(batch["index"], batch["view"], self.seed, self.share, len(logits_MBC) - 1)
        source_B = source_B.to(logits_MBC.device, non_blocking=True)
        return Routing(source_B, select_target(logits_MBC, source_B))


def _not_calibrated() -> UserError:
    return UserError("router=calibrated compares the sources on held-out training images: set data.holdout=0.1")
