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
    # A difference is finite only where the teacher is right and the student wrong.
    sure_MN = answers.confidence.masked_fill(~answers.right, -torch.inf)
    unsure_MN = answers.confidence.masked_fill(answers.right, torch.inf)
    surer_MN = torch.empty_like(unsure_MN)
    for teacher in range(len(sure_MN)):
        torch.sub(sure_MN[teacher], unsure_MN, out=surer_MN)
        best = surer_MN.topk(min(PER_PAIR, surer_MN.shape[1]), dim=1)
        yield teacher, best.indices, best.values > -torch.inf
