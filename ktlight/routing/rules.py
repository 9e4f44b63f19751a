"""Routing rules: callables from the logits of all sources to the source and the target of each sample.

The arithmetic is in `ktlight.functional`; a rule declares what it needs and combines it. Its only state is what it
learns about the sources before training.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

from torch import Tensor

from ktlight.errors import UserError
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
    """Interface of a routing rule; the defaults suit a rule that compares all sources on the batch alone."""

    needs_student: bool = False
    """Whether the rule needs the *current* student's logits, which costs one more forward pass."""
    needs_holdout: bool = False
    """Whether `prepare` needs the candidates' logits on held-out images before training starts."""
    needs_full_logits: bool = False
    """Whether the choice depends on more than the label's logit, the largest ones and their probabilities."""
    has_features: bool = True
    """Whether every target has one candidate that it comes from, or mostly, and so features to go with it."""
    teachers_only: bool = False
    """Whether the candidates are teachers alone, without the initial student."""
    retain_weight: float = 1.0
    """The weight of a sample that the initial student keeps; the others have 1 (gamma in the code of 2310.17653)."""

    def candidates(self, sources: Sequence[Source]) -> list[Source]:
        """Return the sources that the rule chooses from; the others need not be computed."""
        return list(sources[1:] if self.teachers_only else sources)

    def prepare(self, logits_MNC: Tensor, labels_N: Tensor) -> Mapping[str, Tensor]:
        """Learn about the candidates from their logits on plain held-out images, if it `needs_holdout`.

        Returns:
            By name, the numbers found, one a candidate, ``[M]``: for people to see.
        """
        return {}

    @abstractmethod
    def __call__(self, logits_MBC: Tensor, batch: Batch, student_BC: Tensor | None) -> Routing:
        """Route a batch, without synchronising with the device.

        Args:
            logits_MBC: Logits of the candidates.
            batch: The batch, whose labels and indices a rule may use.
            student_BC: Logits of the current student, if the rule needs them.
        """


def check_held_out(learned: Tensor | None) -> Tensor:
    """Return what is learned from held-out images, or their labels; raise `UserError` if there are none."""
    if learned is None or len(learned) == 0:
        raise UserError("the router compares the sources on held-out training images: set data.holdout=0.1")
    return learned
