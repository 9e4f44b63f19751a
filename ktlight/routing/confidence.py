"""Routing rules that compare how far each source can be trusted on a sample.

All accept any number of sources; ties go to the lowest index, hence to the initial student.
"""

from abc import abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor

from ktlight.functional.calibration import fit_temperature
from ktlight.functional.confidence import entropy, log_odds, margin, with_none_of_these
from ktlight.functional.expertise import class_expertise
from ktlight.functional.routing import select_target
from ktlight.limits import NotNegative
from ktlight.routing.rules import Routing, RoutingRule, check_held_out
from ktlight.types import Batch


class ComparingRule(RoutingRule):
    """The source that deserves the most trust teaches: by a measure of confidence, and by what it got right before.

    Held-out images say how far a source's confidence goes (`calibrate`) and which classes it knows (`expertise`). Both
    are used only to compare. The target keeps the source's own logits: a calibrated target from the initial student
    would move the student on the very samples meant to keep it in place.

    Args:
        use_labels: Ask each source about the true class; otherwise about the class that it predicts itself.
        retain_weight: Of the samples that the initial student keeps.
        mapped_mass: Count what a teacher with other classes believes not to be in the data's as one more class.
        calibrate: Compare after temperature scaling of each source on held-out images.
        expertise: Add the log-odds of being right on the class asked about, estimated on held-out images: the weight of
            an independent voter (Nitzan and Paroush, International Economic Review 1982).
    """

    ratio: bool = False
    """Whether the measure is a ratio of two probabilities, to which the others are nothing at any temperature."""

    def __init__(
        self,
        use_labels: bool,
        retain_weight: NotNegative = 1.0,
        mapped_mass: bool = False,
        calibrate: bool = False,
        expertise: bool = False,
    ) -> None:
        self.use_labels = use_labels
        self.retain_weight = retain_weight
        self.mapped_mass = mapped_mass
        self.calibrate = calibrate
        self.expertise = expertise
        self.needs_holdout = calibrate or expertise
        self.needs_full_logits = self.needs_full_logits or (calibrate and not self.ratio)
        self.temperature_M: Tensor | None = None
        self.expertise_MC: Tensor | None = None

    @abstractmethod
    def measure(self, logits_MBC: Tensor, classes_MB: Tensor) -> Tensor:
        """Return each source's confidence in a class of each sample, in nats, ``[M, B]``."""

    def prepare(self, logits_MNC: Tensor, labels_N: Tensor) -> Mapping[str, Tensor]:
        """Fit each source's temperature, and estimate its expertise on each class."""
        fitted: dict[str, Tensor] = {}
        if not self.needs_holdout:
            return fitted
        check_held_out(labels_N)
        if self.calibrate:
            self.temperature_M = torch.stack([fit_temperature(logits_NC, labels_N) for logits_NC in logits_MNC])
            fitted["temperature"] = self.temperature_M
        if self.expertise:
            prediction_MN = logits_MNC.argmax(2)
            right_MN = prediction_MN == labels_N
            classes_MN = labels_N.expand_as(prediction_MN) if self.use_labels else prediction_MN
            estimates = [
                class_expertise(right_N, classes_N, logits_MNC.shape[2])
                for right_N, classes_N in zip(right_MN, classes_MN, strict=True)
            ]
            self.expertise_MC = torch.stack([expertise_C for expertise_C, _ in estimates]).logit()
            fitted["accuracy"] = right_MN.double().mean(1)
            fitted["correlation within classes"] = torch.stack([rho for _, rho in estimates])
            best_C = self.expertise_MC.argmax(0)
            fitted["classes known best"] = (best_C == torch.arange(len(logits_MNC))[:, None]).sum(1)
        return fitted

    def trust(self, logits_MBC: Tensor, batch: Batch) -> Tensor:
        """Return how far each source is trusted on each sample, in nats, ``[M, B]``."""
        prediction_MB = logits_MBC.argmax(2)
        classes_MB = batch["label"].expand_as(prediction_MB) if self.use_labels else prediction_MB
        if self.calibrate:
            # The first batch moves what was learned to its device, without blocking.
            self.temperature_M = check_held_out(self.temperature_M).to(logits_MBC, non_blocking=True)
            logits_MBC = logits_MBC / self.temperature_M[:, None, None]
        if self.mapped_mass and "mapped_mass" in batch:
            logits_MBC = with_none_of_these(logits_MBC, batch["mapped_mass"])
        trust_MB = self.measure(logits_MBC, classes_MB)
        if self.expertise:
            self.expertise_MC = check_held_out(self.expertise_MC).to(trust_MB, non_blocking=True)
            trust_MB = trust_MB + self.expertise_MC.gather(1, classes_MB)
        return trust_MB

    def __call__(self, logits_MBC: Tensor, batch: Batch, student_BC: Tensor | None) -> Routing:
        """Return the argmax of the trust over the sources."""
        source_B = self.trust(logits_MBC, batch).argmax(0)
        return Routing(source_B, select_target(logits_MBC, source_B))


class MostConfident(ComparingRule):
    """Data partitioning (arXiv 2310.17653, sec. 4): the source that gives the class the highest probability teaches."""

    def measure(self, logits_MBC: Tensor, classes_MB: Tensor) -> Tensor:
        """Return the log-odds."""
        return log_odds(logits_MBC, classes_MB)


class Margin(ComparingRule):
    """The source with the largest margin of the class over the strongest other class teaches.

    With labels, a source that predicts the true class always beats one that does not. Comparing probabilities does not
    guarantee that: a source that gives the label 0.3 and every other class less is right, yet loses to one that gives
    the label 0.4 and another class 0.6.
    """

    ratio = True

    def measure(self, logits_MBC: Tensor, classes_MB: Tensor) -> Tensor:
        """Return the margin."""
        return margin(logits_MBC, classes_MB)


class Entropy(ComparingRule):
    """The source whose prediction has the lowest entropy teaches; needs no labels but those of held-out images."""

    needs_full_logits = True

    def __init__(
        self,
        retain_weight: NotNegative = 1.0,
        mapped_mass: bool = False,
        calibrate: bool = False,
        expertise: bool = False,
    ) -> None:
        super().__init__(False, retain_weight, mapped_mass, calibrate, expertise)

    def measure(self, logits_MBC: Tensor, classes_MB: Tensor) -> Tensor:
        """Return the negative entropy, the log-probability that the source expects its own draws to have."""
        return -entropy(logits_MBC)


class Classwise(ComparingRule):
    """Each class is taught by its expert: the source with the highest accuracy on its held-out images, shrunk.

    The expertise of the other rules alone, without the confidence on the sample.

    Args:
        retain_weight: Of the samples that the initial student keeps.
    """

    def __init__(self, retain_weight: NotNegative = 1.0) -> None:
        super().__init__(use_labels=True, retain_weight=retain_weight, expertise=True)

    def measure(self, logits_MBC: Tensor, classes_MB: Tensor) -> Tensor:
        """Return 0: all samples are alike."""
        return torch.zeros_like(classes_MB, dtype=torch.float64)
