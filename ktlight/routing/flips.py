"""Rules based on who is right: the teacher, the initial student or the current student."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from ktlight.errors import UserError
from ktlight.functional.routing import flip_sources, leave_out_negative, select_target
from ktlight.limits import NotNegative
from ktlight.routing.rules import Routing, RoutingRule, Source
from ktlight.types import Batch


class Flip(RoutingRule):
    """Routes by whether the current student or the teacher is right.

    The teacher teaches positive flips (teacher right, student wrong), the initial student negative ones.

    Args:
        neutral: What teaches the rest: ``student`` (the initial one), ``teacher``, or ``average``, a third candidate:
            the mean of the teacher's and the current student's logits.
        retain_weight: Of the samples that the initial student keeps.
    """

    needs_student = True

    def __init__(self, neutral: Literal["student", "teacher", "average"], retain_weight: NotNegative = 1.0) -> None:
        self.neutral = ("student", "teacher", "average").index(neutral)
        self.has_features = neutral != "average"
        self.retain_weight = retain_weight

    def candidates(self, sources: Sequence[Source]) -> list[Source]:
        """Return the initial student and the teacher."""
        return _one_teacher(sources, "router=flip_*")

    def __call__(self, logits_MBC: Tensor, batch: Batch, student_BC: Tensor | None) -> Routing:
        """Return source 0 (initial student), 1 (teacher) or 2 (average) for every sample."""
        assert student_BC is not None
        source_B = flip_sources(student_BC.argmax(1), logits_MBC[1].argmax(1), batch["label"], self.neutral)
        average_BC = (logits_MBC[1] + student_BC) / 2
        return Routing(source_B, select_target(torch.cat([logits_MBC, average_BC[None]]), source_B))


class NoNegativeFlips(RoutingRule):
    """The teacher teaches, leaving out samples where it is wrong and the initial student right (XE-KL+MCL)."""

    def candidates(self, sources: Sequence[Source]) -> list[Source]:
        """Return the initial student and the teacher."""
        return _one_teacher(sources, "router=no_negative_flips")

    def __call__(self, logits_MBC: Tensor, batch: Batch, student_BC: Tensor | None) -> Routing:
        """Return source 1, or -1 on negative flips."""
        source_B = leave_out_negative(logits_MBC[0].argmax(1), logits_MBC[1].argmax(1), batch["label"])
        return Routing(source_B, logits_MBC[1])


def _one_teacher(sources: Sequence[Source], who: str) -> list[Source]:
    if len(sources) != 2:
        raise UserError(f"{who} compares the student with one teacher, but there are {len(sources) - 1}")
    return list(sources)
