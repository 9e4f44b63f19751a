"""The no-regret guard: held-out training images decide how much of a transfer is kept (guard=wise, rollback)."""

import logging
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ktlight.models.classifier import Classifier
from ktlight.tasks.averaging import Score, average_into, held_out_score, state_of
from ktlight.tasks.stage import Setting

logger = logging.getLogger(__name__)


def guard_student(student: Classifier, initial: Mapping[str, Tensor], setting: Setting) -> dict[str, Any]:
    """Move the student to the best point between its initial weights and those it has, and return what was found.

    ``rollback`` knows the two ends only; ``wise`` tries ``guard.steps`` points of the line between them (Wortsman et
    al., "Robust fine-tuning of zero-shot models", CVPR 2022). The best point has the highest accuracy on the held-out
    training images, among equals the highest likelihood of their labels, then the shortest way: where nothing is
    better than the initial student, it is given back as it was.

    Args:
        student: The student after the transfer; changed in place.
        initial: State dict of the network before the transfer.
        setting: With held-out images.

    Returns:
        The share of the way that is kept, and the score of every point that was tried.
    """
    steps = setting.config.guard.get("steps", 1)
    learned = state_of(student)
    scores: dict[float, Score] = {}
    for step in range(steps + 1):
        go_to(step / steps, student, initial, learned, setting)
        scores[step / steps] = held_out_score(student, setting)
    share = max(scores, key=scores.__getitem__)  # the first of the best
    go_to(share, student, initial, learned, setting)
    logger.info(
        "guard=%s: %.0f%% of the way is kept (held-out accuracy %.2f%%; initial %.2f%%, transferred %.2f%%)",
        setting.config.guard.name, 100 * share, scores[share].acc, scores[0].acc, scores[1].acc,
    )  # fmt: skip
    return {
        "share": share,
        "tried": [{"share": point, **score._asdict()} for point, score in scores.items()],
        "held_out": len(setting.data.holdout_rows),
    }


def go_to(
    share: float,
    student: Classifier,
    initial: Mapping[str, Tensor],
    learned: Mapping[str, Tensor],
    setting: Setting,
) -> None:
    """Put the student at a share of the way; the two ends are exactly what they were, BatchNorm statistics included."""
    if 0 < share < 1:
        average_into(student, [initial, learned], [1 - share, share], setting)
    else:
        student.network.load_state_dict(learned if share else initial)
