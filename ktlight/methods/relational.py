"""Methods that compare how networks relate the samples of a batch to each other: CD and RKD."""

from abc import abstractmethod
from collections.abc import Sequence

from torch import Tensor

from ktlight.functional.relational import (
    angle_relation_per_sample,
    distance_relation_per_sample,
    relation_divergence_per_sample,
)
from ktlight.limits import NotNegative, Positive
from ktlight.methods.features import FeatureMethod
from ktlight.methods.optimization import Optimization
from ktlight.models.classifier import Classifier
from ktlight.types import RoutedBatch


class RelationalMethod(FeatureMethod):
    """The student relates a sample to the others of the batch as the source that teaches the sample does.

    With several processes, the batch spans all of them. Samples that the router leaves out relate to none.
    """

    def feature_losses(self, features_BD: Tensor, batch: RoutedBatch) -> Tensor:
        """Return the loss of each of this process's samples, ``[B]``."""
        own = len(batch["source"])
        first = own * self.trainer.global_rank
        return self.relation_losses(
            self.whole_batch(features_BD.float()),
            [self.whole_batch(source_BD) for source_BD in batch["features"]],
            self.whole_batch(batch["source"]),
            slice(first, first + own),
        )

    @abstractmethod
    def relation_losses(
        self, student_BD: Tensor, features_MBD: Sequence[Tensor], source_B: Tensor, rows: slice
    ) -> Tensor:
        """Return the loss of some samples of the batch of all processes.

        Args:
            student_BD: The student's features.
            features_MBD: Those of each source, ``[B, D_m]``.
            source_B: Which source teaches each sample; -1 for those left out.
            rows: The samples to return.
        """


class CD(RelationalMethod):
    """Contrastive distillation: KL between the rows of in-batch similarity matrices (arXiv 2310.17653).

    Row i of the target comes from the similarity matrix of the source that teaches sample i, excluding sample i itself.
    One temperature applies to both similarities and logits.
    """

    def relation_losses(
        self, student_BD: Tensor, features_MBD: Sequence[Tensor], source_B: Tensor, rows: slice
    ) -> Tensor:
        """Return the divergence of each sample's similarities."""
        return relation_divergence_per_sample(student_BD, features_MBD, source_B, self.temperature)[rows]


class RKD(RelationalMethod):
    """Relational knowledge distillation (Park et al., CVPR 2019): distances to the others, and angles between them.

    Args:
        networks: The student, then the teachers.
        optimization: Optimiser and learning rate.
        name: Name of the method in results.
        beta: Weight of distances and angles together.
        alpha: Weight of the KL divergence.
        gamma: Weight of the cross entropy with the labels.
        temperature: T of the KL divergence.
        double_softmax: Take the cross entropy of probabilities in place of logits.
        distance_weight: Weight of the distances.
        angle_weight: Weight of the angles, whose cost is cubic in the batch; 0 leaves them out.
        standardize_logits: Standardise the logits on both sides of the KL term.
    """

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
        distance_weight: NotNegative,
        angle_weight: NotNegative,
        standardize_logits: bool = False,
    ) -> None:
        super().__init__(
            networks, optimization, name=name, beta=beta, alpha=alpha, gamma=gamma, temperature=temperature,
            double_softmax=double_softmax, standardize_logits=standardize_logits,
        )  # fmt: skip
        self.distance_weight = distance_weight
        self.angle_weight = angle_weight

    def relation_losses(
        self, student_BD: Tensor, features_MBD: Sequence[Tensor], source_B: Tensor, rows: slice
    ) -> Tensor:
        """Return the weighted differences of each sample's distances and angles."""
        loss_R = self.distance_weight * distance_relation_per_sample(student_BD, features_MBD, source_B, rows)
        if self.angle_weight:
            loss_R = loss_R + self.angle_weight * angle_relation_per_sample(student_BD, features_MBD, source_B, rows)
        return loss_R
