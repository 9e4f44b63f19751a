"""Routing rules: callables from the logits of all sources to the source and the target of each sample.

The arithmetic is in `ktlight.functional`; a rule says what it needs and puts it together. It holds no state but what it
learns about the sources before training. Here are the rules of the paper; `ktlight.routing.beyond` has others.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from ktlight.errors import UserError
from ktlight.functional import flip_sources, leave_out_negative, most_confident, select_target
from ktlight.types import Batch, LogitSource


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

    def candidates(self, sources: Sequence[LogitSource]) -> list[LogitSource]:
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


class Fixed(RoutingRule):
    """Every sample from one source: the teacher (plain distillation) or the initial student (self-distillation)."""

    def __init__(self, source: int) -> None:
        self.source = source

    def candidates(self, sources: Sequence[LogitSource]) -> list[LogitSource]:
        """Return the one source."""
        if self.source >= len(sources):
            raise UserError(f"router.source={self.source}, but there are only sources 0 to {len(sources) - 1}")
        if self.source > 0 and len(sources) > 2:
            raise UserError(
                f"router=teacher takes one teacher, but there are {len(sources) - 1}: choose among them with "
                "router=most_confident or router=soft, or take them in turn with schedule=sequential or schedule=soup"
            )
        return [sources[self.source]]

    def __call__(self, logits_MBC: Tensor, batch: Batch, student_BC: Tensor | None) -> Routing:
        """Return the one candidate for every sample."""
        return Routing(torch.zeros_like(batch["label"]), logits_MBC[0])


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


class Flip(RoutingRule):
    """Flip routing: by who is right, the current student or the teacher.

    Positive flips (teacher right, student wrong) come from the teacher, negative ones from the initial student.

    Args:
        neutral: Who teaches the rest: ``student`` (the initial one), ``teacher``, or ``average``, the mean of the
            logits of the teacher and the current student, a third candidate.
    """

    needs_student = True

    def __init__(self, neutral: Literal["student", "teacher", "average"]) -> None:
        self.neutral = ("student", "teacher", "average").index(neutral)

    def candidates(self, sources: Sequence[LogitSource]) -> list[LogitSource]:
        """Return the initial student and the teacher."""
        return _one_teacher(sources, "router=flip_*")

    def __call__(self, logits_MBC: Tensor, batch: Batch, student_BC: Tensor | None) -> Routing:
        """Return source 0 (initial student), 1 (teacher) or 2 (average) for every sample."""
        assert student_BC is not None
        source_B = flip_sources(student_BC.argmax(1), logits_MBC[1].argmax(1), batch["label"], self.neutral)
        average_BC = (logits_MBC[1] + student_BC) / 2
        return Routing(source_B, select_target(torch.cat([logits_MBC, average_BC[None]]), source_B))


class NoNegativeFlips(RoutingRule):
    """The teacher, except where it is wrong and the initial student right: those samples are left out (XE-KL+MCL)."""

    def candidates(self, sources: Sequence[LogitSource]) -> list[LogitSource]:
        """Return the initial student and the teacher."""
        return _one_teacher(sources, "router=no_negative_flips")

    def __call__(self, logits_MBC: Tensor, batch: Batch, student_BC: Tensor | None) -> Routing:
        """Return source 1, or -1 on negative flips."""
        source_B = leave_out_negative(logits_MBC[0].argmax(1), logits_MBC[1].argmax(1), batch["label"])
        return Routing(source_B, logits_MBC[1])


def _one_teacher(sources: Sequence[LogitSource], who: str) -> list[LogitSource]:
    if len(sources) != 2:
        raise UserError(f"{who} compares the student with one teacher, but there are {len(sources) - 1}")
    return list(sources)
