"""Routing rules that compare the sources' confidence.

All accept any number of sources; ties go to the lowest index, hence to the initial student.
"""

import torch
from torch import Tensor

from ktlight.errors import UserError
from ktlight.functional.calibration import fit_temperature
from ktlight.functional.confidence import entropy, margin
from ktlight.functional.routing import class_errors, most_confident, select_target
from ktlight.limits import NotNegative
from ktlight.routing.rules import Routing, RoutingRule
from ktlight.types import Batch


class Margin(RoutingRule):
    """The source with the largest margin of the class over the strongest other class teaches.

    With labels, a source that predicts the true class always beats one that does not. Comparing probabilities does not
    guarantee that: a source that gives the label 0.3 and every other class less is right, yet loses to one that gives
    the label 0.4 and another class 0.6.

    Args:
        use_labels: Use the margin of the true class; otherwise of the class that each source itself predicts.
        retain_weight: Of the samples that the initial student keeps.
    """

    def __init__(self, use_labels: bool, retain_weight: NotNegative = 1.0) -> None:
        self.use_labels = use_labels
        self.retain_weight = retain_weight

    def __call__(self, logits_MBC: Tensor, batch: Batch, student_BC: Tensor | None) -> Routing:
        """Return the argmax of the margin over the sources."""
        source_B = margin(logits_MBC, batch["label"] if self.use_labels else None).argmax(0)
        return Routing(source_B, select_target(logits_MBC, source_B))


class Entropy(RoutingRule):
    """The source whose prediction has the lowest entropy teaches; needs no labels.

    Args:
        retain_weight: Of the samples that the initial student keeps.
    """

    needs_full_logits = True

    def __init__(self, retain_weight: NotNegative = 1.0) -> None:
        self.retain_weight = retain_weight

    def __call__(self, logits_MBC: Tensor, batch: Batch, student_BC: Tensor | None) -> Routing:
        """Return the argmin of the entropy over the sources."""
        source_B = entropy(logits_MBC).argmin(0)
        return Routing(source_B, select_target(logits_MBC, source_B))


class Calibrated(RoutingRule):
    """The most confident source teaches, after temperature scaling of each source on held-out images.

    Calibrated logits are used only for the comparison. The target keeps the source's own logits: a calibrated target
    from the initial student would move the student on the very samples meant to keep it in place.

    Args:
        use_labels: Compare the probabilities of the true class; otherwise the highest probability of any class.
            Calibration itself always uses the labels of the held-out images.
        retain_weight: Of the samples that the initial student keeps.
    """

    prepared_on = "holdout"
    needs_full_logits = True  # a temperature moves the mass of all classes

    def __init__(self, use_labels: bool, retain_weight: NotNegative = 1.0) -> None:
        self.use_labels = use_labels
        self.retain_weight = retain_weight
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
        # The first batch moves the temperatures to its device, without blocking.
        self.temperature_M = self.temperature_M.to(logits_MBC, non_blocking=True)
        calibrated_MBC = logits_MBC / self.temperature_M[:, None, None]
        source_B = most_confident(calibrated_MBC, batch["label"] if self.use_labels else None)
        return Routing(source_B, select_target(logits_MBC, source_B))


class Classwise(RoutingRule):
    """Each class is taught by its expert: the source with the highest mean label probability on its training images.

    Mean probabilities rather than accuracies, since sources are often right on nearly all of their training images;
    compared as one minus the mean, which stays precise near 1. On memorised images this still measures memorisation
    more than knowledge. Classes without images are taught by the initial student.

    Args:
        retain_weight: Of the samples that the initial student keeps.
    """

    prepared_on = "training"

    def __init__(self, retain_weight: NotNegative = 1.0) -> None:
        self.retain_weight = retain_weight
        self.expert_C: Tensor | None = None

    def prepare(self, logits_MNC: Tensor, labels_N: Tensor) -> None:
        """Find the expert of each class."""
        # One at a time on the CPU, where summation order is fixed, so that identical sources tie to the last bit.
        labels_N = labels_N.cpu()
        self.expert_C = torch.stack([class_errors(logits_NC.cpu(), labels_N) for logits_NC in logits_MNC]).argmin(0)

    def __call__(self, logits_MBC: Tensor, batch: Batch, student_BC: Tensor | None) -> Routing:
        """Return the expert of each sample's class."""
        assert self.expert_C is not None  # the task has prepared the rule
        # The first batch moves the experts to its device, without blocking.
        self.expert_C = self.expert_C.to(logits_MBC.device, non_blocking=True)
        source_B = self.expert_C[batch["label"]]
        return Routing(source_B, select_target(logits_MBC, source_B))


def _not_calibrated() -> UserError:
    return UserError("router=calibrated compares the sources on held-out training images: set data.holdout=0.1")


class MostConfident(RoutingRule):
    """Data partitioning (arXiv 2310.17653, sec. 4): the most confident source teaches; ties go to the initial student.

    Args:
        use_labels: Compare the probabilities of the true class; otherwise the highest probability of any class.
        retain_weight: Of the samples that the initial student keeps.
        mapped_mass: Multiply the confidence of a teacher with other classes by its mapped mass: the share of its belief
            that is about the data's classes at all.
    """

    def __init__(self, use_labels: bool, retain_weight: NotNegative = 1.0, mapped_mass: bool = False) -> None:
        self.use_labels = use_labels
        self.retain_weight = retain_weight
        self.mapped_mass = mapped_mass

    def __call__(self, logits_MBC: Tensor, batch: Batch, student_BC: Tensor | None) -> Routing:
        """Return the argmax of confidence over the sources."""
        mass_MB = batch.get("mapped_mass") if self.mapped_mass else None
        source_B = most_confident(logits_MBC, batch["label"] if self.use_labels else None, mass_MB)
        return Routing(source_B, select_target(logits_MBC, source_B))
