"""Routing rules: callables from the logits of all sources to the source and the target of each sample.

The arithmetic is in `ktlight.functional`; a rule says what it needs and puts it together. It holds no state but what it
learns about the sources before training. Here are the rules of the paper; `ktlight.routing.beyond` has others.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeVar

from torch import Tensor

from ktlight.types import Batch, LogitSource

Source = TypeVar("Source", bound=LogitSource)


class Routing(NamedTuple):
    """Outcome for one batch.

    Attributes:
        source_B: Position of the source in the candidates; -1 leaves the sample out.
        target_BC: Target logits.
    """

    source_B: Tensor
    target_BC: Tensor


class RoutingRule(ABC):
    """What the sample router asks of a rule; by default, one that compares all sources on the batch alone."""

    needs_student: bool = False
    """Whether the rule looks at the *current* student's logits, which costs one more forward pass."""
    prepared_on: Literal["holdout", "training"] | None = None
    """Plain images that `prepare` wants the candidates' logits of, before training starts."""
    needs_full_logits: bool = False
    """Whether the choice depends on more than the label's logit, the largest ones and their probabilities."""
    has_features: bool = True
    """Whether every target is what a candidate says, which then has features too."""

    def candidates(self, sources: Sequence[Source]) -> list[Source]:
        """Return the sources the rule chooses from; the others need not be computed."""
        return list(sources)

    def prepare(self, logits_MNC: Tensor, labels_N: Tensor) -> None:  # noqa: B027
        """Learn about the candidates from their logits on the images that `prepared_on` names."""

    @abstractmethod
    def __call__(self, logits_MBC: Tensor, batch: Batch, student_BC: Tensor | None) -> Routing:
        """Route a batch, without waiting for the device.

        Args:
            logits_MBC: Logits of the candidates.
            batch: The batch, whose labels and indices a rule may use.
            student_BC: Logits of the current student, if the rule needs them.
        """
