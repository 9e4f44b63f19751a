"""Prediction flips between two classifiers, and how many of them a transfer gained or lost.

Definitions follow Roth et al., "Fantastic Gains and Where to Find Them" (ICLR 2024, arXiv 2310.17653), section 3. All
functions take predicted classes, ``int64 [B]``; summaries are percentages, float64 scalars so that ``gain - loss``
equals the difference of the two accuracies to the last digit shown.
"""

import torch
from torch import Tensor


def prediction_flips(student_pred_B: Tensor, teacher_pred_B: Tensor, labels_B: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the positive, negative and neutral flips of (teacher, student).

    Args:
        student_pred_B: Classes that the student predicts, ``int64 [B]``.
        teacher_pred_B: Classes that the teacher predicts, ``int64 [B]``.
        labels_B: True classes, ``int64 [B]``.

    Returns:
        Three masks ``bool [B]``, exactly one of which is true for each sample: positive flips (teacher right, student
        wrong), negative flips (student right, teacher wrong) and neutral samples (both right or both wrong).
    """
    student_right_B = student_pred_B == labels_B
    teacher_right_B = teacher_pred_B == labels_B
    return teacher_right_B & ~student_right_B, student_right_B & ~teacher_right_B, teacher_right_B == student_right_B


def complementary_knowledge(student_pred_B: Tensor, teacher_pred_B: Tensor, labels_B: Tensor) -> Tensor:
    """Return rho_pos, the percentage of samples that are positive flips of (teacher, student)."""
    positive_B, _, _ = prediction_flips(student_pred_B, teacher_pred_B, labels_B)
    return _percent(positive_B)


def knowledge_gain(before_pred_B: Tensor, after_pred_B: Tensor, labels_B: Tensor) -> Tensor:
    """Return the percentage of samples that the student got wrong before the transfer and gets right after it."""
    gained_B, _, _ = prediction_flips(before_pred_B, after_pred_B, labels_B)
    return _percent(gained_B)


def knowledge_loss(before_pred_B: Tensor, after_pred_B: Tensor, labels_B: Tensor) -> Tensor:
    """Return the percentage of samples that the student got right before the transfer and gets wrong after it."""
    _, lost_B, _ = prediction_flips(before_pred_B, after_pred_B, labels_B)
    return _percent(lost_B)


def transfer_rate(before_pred_B: Tensor, teacher_pred_B: Tensor, after_pred_B: Tensor, labels_B: Tensor) -> Tensor:
    """Return the percentage of the teacher's positive flips that the student gets right after the transfer.

    NaN if the teacher has no positive flips: there was nothing to transfer.
    """
    positive_B, _, _ = prediction_flips(before_pred_B, teacher_pred_B, labels_B)
    transferred_B = positive_B & (after_pred_B == labels_B)
    return 100 * transferred_B.sum().to(torch.float64) / positive_B.sum()


def _percent(mask_B: Tensor) -> Tensor:
    return 100 * mask_B.sum().to(torch.float64) / mask_B.numel()
