"""Routing rules beyond the paper: other measures of who knows more, soft instead of hard choices, and a control.

All choose among any number of sources; ties go to the lowest index, hence to the initial student.
"""

import torch
from torch import Tensor

from ktlight.errors import UserError
from ktlight.functional.calibration import fit_temperature
from ktlight.functional.confidence import entropy, margin
from ktlight.functional.routing import class_errors, most_confident, select_target
from ktlight.routing.rules import Routing, RoutingRule
from ktlight.types import Batch


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

    needs_full_logits = True

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
    needs_full_logits = True  # a temperature moves the mass of all classes

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


def _not_calibrated() -> UserError:
    return UserError("router=calibrated compares the sources on held-out training images: set data.holdout=0.1")


class MostConfident(RoutingRule):
    """Data partitioning (arXiv 2310.17653, sec. 4): the most confident source teaches; ties go to the initial student.

    Args:
        use_labels: Compare the probabilities of the true class; otherwise the highest probability of any class.
    """

    def __init__(self, use_labels: bool) -> None:
        self.use_labels = use_labels

    def __call__(self, logits_MBC: Tensor, batch: Batch, student_BC: Tensor | None) -> Routing:
        """Return the argmax of confidence over the sources."""
        source_B = most_confident(logits_MBC, batch["label"] if self.use_labels else None)
        return Routing(source_B, select_target(logits_MBC, source_B))
