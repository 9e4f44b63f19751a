"""Base class of the methods that learn from features."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from ktlight.functional.losses import kl_divergence_per_sample
from ktlight.limits import NotNegative, Positive
from ktlight.methods.base import TransferMethod, label_losses, taught_mean
from ktlight.methods.optimization import Optimization
from ktlight.models.classifier import Classifier
from ktlight.types import RoutedBatch


class FeatureMethod(TransferMethod[RoutedBatch]):
    """``beta * features + alpha * kl + gamma * cross_entropy`` (arXiv 2310.17653); only the student learns.

    The source that teaches a sample provides its features and, for the KL term, its logits. If a router mixes the
    logits of several sources, the features are those of the one that it names as the sample's source. Samples that the
    router leaves out (source -1) contribute nothing.

    Args:
        networks: The student, then the teachers.
        optimization: Optimiser and learning rate.
        name: Name of the method in results.
        beta: Weight of the term on features.
        alpha: Weight of the KL divergence from the target.
        gamma: Weight of the cross entropy with the labels.
        temperature: T of the KL divergence, which is multiplied by T^2.
        double_softmax: Compute the cross entropy from probabilities, not logits, as the paper's public code does.
        standardize_logits: Standardise the logits on both sides of the KL term.

    Raises:
        UserError: If one of the networks has no features.
    """

    routed = True
    needs_features = True

    def __init__(
        self,
        networks: Sequence[Classifier],
        optimization: Optimization,
        *,
        name: str,
        beta: NotNegative,
        alpha: NotNegative,
        gamma: NotNegative,
        temperature: Positive,
        double_softmax: bool,
        standardize_logits: bool = False,
    ) -> None:
        super().__init__(networks[:1], optimization)
        self.name = name
        self.beta = beta
        self.alpha = alpha
        self.gamma = gamma
        self.temperature = temperature
        self.double_softmax = double_softmax
        self.standardize_logits = standardize_logits
        self.student_width, *teacher_widths = [network.feature_tap.width for network in networks]
        self.check_widths(networks, teacher_widths)

    def check_widths(self, networks: Sequence[Classifier], teacher_widths: Sequence[int]) -> None:
        """Raise `UserError` if the method cannot compare the student's features with so many of the teachers'."""

    def make_heads(self, make: Callable[[int], nn.Module], widths: Sequence[int]) -> None:
        """Create a head for each number of features, with first weights that depend on the seed alone."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.context.seed)
            self.heads.extend(make(width) for width in widths)

    def losses(self, batch: RoutedBatch) -> dict[str, Tensor]:
        """Return the terms on logits and features from one forward pass of the student."""
        logits_BC, features_BD = cast(Classifier, self.networks[0]).logits_and_features(batch["image"])
        feature_B = self.feature_losses(features_BD, batch)
        return {**self.terms([logits_BC], batch), "feature": self.beta * taught_mean(feature_B, batch)}

    def terms(self, logits_NBC: Sequence[Tensor], batch: RoutedBatch) -> dict[str, Tensor]:
        """Return the label term, and the soft term if its weight is not 0."""
        student_BC = logits_NBC[0]
        label_B = label_losses(student_BC, batch["label"], self.double_softmax)
        # even with a weight of 0: DistributedDataParallel needs a gradient for the classifier layer
        terms = {"label": self.gamma * taught_mean(label_B, batch)}
        if self.alpha:
            soft_B = kl_divergence_per_sample(*self.compared(student_BC, batch["target"]), self.temperature)
            terms["soft"] = self.alpha * taught_mean(soft_B, batch)
        return terms

    @abstractmethod
    def feature_losses(self, features_BD: Tensor, batch: RoutedBatch) -> Tensor:
        """Return the loss of each sample on the student's features, ``[B]``."""
