"""DIST: correlations between the probabilities of student and teacher (Huang et al., NeurIPS 2022)."""

from collections.abc import Sequence

from torch import Tensor

from ktlight.functional.correlation import column_distances, row_distances
from ktlight.limits import NotNegative, Positive
from ktlight.methods.logits import LogitMethod
from ktlight.methods.optimization import Optimization
from ktlight.models.classifier import Classifier
from ktlight.types import RoutedBatch


class DIST(LogitMethod):
    """``tau^2 [beta (1 - mean_i rho(rows)) + gamma (1 - mean_c rho(columns))] + label_weight * CE``, arXiv 2205.10536.

    Rows are samples, whose mean is that of every routed loss: over the whole batch, samples left out counting 0, the
    others by their weight. Columns are classes over the samples that are taught, of all processes; they know no weights
    of samples, and count by the share of the batch that is taught, so that a sample's pull does not grow as others are
    left out.

    Args:
        networks: The student alone.
        optimization: Optimiser and learning rate.
        name: Name of the method in results.
        beta: Weight of the rows.
        gamma: Weight of the columns.
        temperature: tau.
        label_weight: Of the cross entropy with the labels.
        standardize_logits: Standardise the logits on both sides of the soft term.
    """

    least_batch = 2

    def __init__(
        self,
        networks: Sequence[Classifier],
        optimization: Optimization,
        *,
        name: str,
        beta: NotNegative,
        gamma: NotNegative,
        temperature: Positive,
        label_weight: NotNegative,
        standardize_logits: bool = False,
    ) -> None:
        super().__init__(
            networks, optimization, name=name, label_weight=label_weight, standardize_logits=standardize_logits
        )
        self.beta = beta
        self.gamma = gamma
        self.temperature = temperature

    def soft_term(self, student_BC: Tensor, target_BC: Tensor, batch: RoutedBatch) -> Tensor:
        """Return the mean of the rows and that of the columns, weighted and added."""
        rows = super().soft_term(student_BC, target_BC, batch)
        taught_B = self.whole_batch(batch["source"]) >= 0
        columns_C = column_distances(
            self.whole_batch(student_BC), self.whole_batch(target_BC), taught_B, self.temperature
        )
        return rows + self.gamma * taught_B.float().mean() * columns_C.mean()

    def soft_losses(self, student_BC: Tensor, target_BC: Tensor, batch: RoutedBatch) -> Tensor:
        """Return the distance of each sample's probabilities, ``[B]``."""
        return self.beta * row_distances(student_BC, target_BC, self.temperature)
