"""Example images of positive flips."""

from collections.abc import Iterator

import torch
from torch import Tensor

from ktlight.discovery.compare import AllAnswers

PER_PAIR = 4


def clearest_flips(answers: AllAnswers) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Yield, for each teacher, the positive flips over each student where the teacher is surest in comparison.

    Yields:
        The teacher, positions of samples ``[M, k]``, and which of them are positive flips.
    """
    right_MN, confidence_MN = answers.right, answers.confidence
    for teacher in range(len(right_MN)):
        known = right_MN[teacher].nonzero()[:, 0]
        surer_MK = (confidence_MN[teacher, known] - confidence_MN[:, known]).masked_fill_(
            right_MN[:, known], -torch.inf
        )
        best = surer_MK.topk(min(PER_PAIR, len(known)), dim=1)
        yield teacher, known[best.indices], best.values > -torch.inf
