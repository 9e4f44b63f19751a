"""What the methods that learn from features share."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import cast

from torch import Tensor
from torch.nn.functional import cross_entropy

from ktlight.functional.losses import kl_divergence_per_sample, masked_mean
from ktlight.limits import NotNegative, Positive
from ktlight.methods.base import TransferMethod
from ktlight.methods.optimization import Optimization
from ktlight.models.classifier import Classifier
from ktlight.types import RoutedBatch


class FeatureMethod(TransferMethod[RoutedBatch]):
    """``beta * features + alpha * kl + gamma * cross_entropy`` (arXiv 2310.17653); only the student learns.

    Whichever source teaches a sample gives its features and, for the KL term, its logits. Where a router mixes the
    logits of several sources, the features are those of the one that it names as the sample's source. A sample that the
    router left out (source -1) contributes nothing.

    Args:
        networks: The student, then the teachers.
        optimization: Optimiser and learning rate.
        name: Name of the method in results.
        beta: Weight of the term on features.
        alpha: Weight of the KL divergence from the target.
        gamma: Weight of the cross entropy with the labels.
        temperature: T of the KL divergence, which is multiplied by T^2.
        double_softmax: Take the cross entropy of probabilities in place of logits, as the paper's public code does.

    Raises:
        UserError: One of the networks has no features.
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
    ) -> None:
        super().__init__(networks[:1], optimization)
        self.name = name
        self.beta = beta
        self.alpha = alpha
        self.gamma = gamma
        self.temperature = temperature
        self.double_softmax = double_softmax
        self.student_width, *_ = [network.feature_tap.width for network in networks]

    def losses(self, batch: RoutedBatch) -> dict[str, Tensor]:
        """Return the terms on the logits and the one on the features, of one pass of the student."""
        logits_BC, features_BD = cast(Classifier, self.networks[0]).logits_and_features(batch["image"])
        feature_B = self.feature_losses(features_BD, batch)
        return {**self.terms([logits_BC], batch), "feature": self.beta * masked_mean(feature_B, batch["source"])}

    def terms(self, logits_NBC: Sequence[Tensor], batch: RoutedBatch) -> dict[str, Tensor]:
        """Return the label term, and the soft term where it has a weight."""
        student_BC = logits_NBC[0]
        scores_BC = student_BC.float().softmax(1) if self.double_softmax else student_BC.float()
        label_B = cross_entropy(scores_BC, batch["label"], reduction="none")
        # also with a weight of 0: DistributedDataParallel wants a gradient for the classifier layer
        terms = {"label": self.gamma * masked_mean(label_B, batch["source"])}
        if self.alpha:
            soft_B = kl_divergence_per_sample(student_BC, batch["target"], self.temperature)
            terms["soft"] = self.alpha * masked_mean(soft_B, batch["source"])
        return terms

    @abstractmethod
    def feature_losses(self, features_BD: Tensor, batch: RoutedBatch) -> Tensor:
        """Return the loss ``[B]`` of each sample that the student's features give."""
