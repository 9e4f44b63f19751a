"""The no-regret guard: held-out training images decide how much of a transfer is kept (guard=wise, rollback)."""

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ktlight.models.classifier import Classifier
from ktlight.stages.averaging import HeldOut, average_into, held_out, state_of
from ktlight.stages.setting import Setting

logger = logging.getLogger(__name__)


class Guarded(NamedTuple):
    """Result of a guard.

    Attributes:
        record: The interpolation weight that was kept, and the score of every point tried.
        columns: The outputs of every point on the held-out images, for ``guard.parquet``.
    """

    record: dict[str, Any]
    columns: dict[str, Tensor]


def guard_student(student: Classifier, initial: Mapping[str, Tensor], setting: Setting) -> Guarded:
    """Move the student to the best point between its initial and current weights, and return the guard's result.

    ``rollback`` tries only the two end points; ``wise`` tries ``guard.steps`` points on the line between them (Wortsman
    et al., "Robust fine-tuning of zero-shot models", CVPR 2022). The best point has the highest accuracy on the
    held-out training images; ties go to the highest likelihood of their labels, then to the point closest to the
    initial weights. If none is better, the initial student is returned unchanged.

    Args:
        student: The student after the transfer; changed in place.
        initial: State dict of the network before the transfer.
        setting: With held-out images.
    """
    steps = setting.config.guard.get("steps", 1)
    learned = state_of(student)
    points: dict[float, HeldOut] = {}
    for step in range(steps + 1):
        go_to(step / steps, student, initial, learned, setting)
        points[step / steps] = held_out(student, setting)
    scores = {share: point.score for share, point in points.items()}
    share = max(scores, key=scores.__getitem__)  # the first of the best
    go_to(share, student, initial, learned, setting)
    logger.info(
        "guard=%s: %.0f%% of the way is kept (held-out accuracy %.2f%%; initial %.2f%%, transferred %.2f%%)",
        setting.config.guard.name, 100 * share, scores[share].acc, scores[0].acc, scores[1].acc,
    )  # fmt: skip
    if scores[0].acc == scores[1].acc == 100:
        logger.warning(
            "guard=%s: both ends are right on all held-out images (were they trained on?), so the likelihood of the "
            "labels decided, which says little", setting.config.guard.name,
        )  # fmt: skip
    images = setting.data.holdout_images(student.framing)
    columns = {"index": torch.from_numpy(images.rows), "label": torch.from_numpy(images.labels)}
    for tried, point in points.items():
        columns |= {f"prediction_{tried:g}": point.prediction, f"log_probability_{tried:g}": point.log_probability}
    tried_points = [{"share": point, **score._asdict()} for point, score in scores.items()]
    return Guarded({"share": share, "tried": tried_points, "held_out": len(images.rows)}, columns)


def go_to(
    share: float,
    student: Classifier,
    initial: Mapping[str, Tensor],
    learned: Mapping[str, Tensor],
    setting: Setting,
) -> None:
    """Set the student to an interpolation point; the ends are restored exactly, BatchNorm statistics included."""
    if 0 < share < 1:
        average_into(student, [initial, learned], [1 - share, share], setting)
    else:
        student.network.load_state_dict(learned if share else initial)
