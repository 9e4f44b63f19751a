"""Base class of the methods that compare the student's logits with a routed target."""

from abc import abstractmethod
from collections.abc import Sequence

from torch import Tensor

from ktlight.limits import NotNegative
from ktlight.methods.base import TransferMethod, label_losses, taught_mean
from ktlight.methods.optimization import Optimization
from ktlight.models.classifier import Classifier
from ktlight.types import RoutedBatch


class LogitMethod(TransferMethod[RoutedBatch]):
    """``weight * soft(student, target) + label_weight * cross_entropy(student, label)``; only the student learns.

    A method of this kind defines `soft_losses`, the loss of each sample. The router writes each sample's target;
    samples that it leaves out (source -1) contribute nothing to either term.

    Args:
        networks: The student, then the teachers, which are not used.
        optimization: Optimiser and learning rate.
        name: Name of the method in results.
        label_weight: Of the cross entropy with the labels.
        weight: Of the soft term.
        standardize_logits: Standardise the logits on both sides of the soft term.
    """

    routed = True
    needs_full_logits = True  # of KL divergences alone it is known what ``store.top_k`` changes: `ktlight.store.form`
    double_softmax: bool = False

    def __init__(
        self,
        networks: Sequence[Classifier],
        optimization: Optimization,
        *,
        name: str,
        label_weight: NotNegative,
        weight: NotNegative = 1.0,
        standardize_logits: bool = False,
    ) -> None:
        super().__init__(networks[:1], optimization)
        self.name = name
        self.label_weight = label_weight
        self.weight = weight
        self.standardize_logits = standardize_logits

    def terms(self, logits_NBC: Sequence[Tensor], batch: RoutedBatch) -> dict[str, Tensor]:
        """Return the soft term, and the label term if its weight is not 0."""
        student_BC = logits_NBC[0]
        soft = self.soft_term(*self.compared(student_BC, batch["target"]), batch)
        terms = {"soft": self.weight * soft}
        if self.label_weight:
            label_B = label_losses(student_BC, batch["label"], self.double_softmax)
            terms["label"] = self.label_weight * taught_mean(label_B, batch)
        return terms

    def soft_term(self, student_BC: Tensor, target_BC: Tensor, batch: RoutedBatch) -> Tensor:
        """Return the soft loss of the batch, a scalar; a loss that relates samples to each other extends this."""
        return taught_mean(self.soft_losses(student_BC, target_BC, batch), batch)

    @abstractmethod
    def soft_losses(self, student_BC: Tensor, target_BC: Tensor, batch: RoutedBatch) -> Tensor:
        """Return the loss of each sample, ``[B]``, between logits that are standardised if the method says so."""
