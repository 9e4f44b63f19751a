"""Rules that say which source teaches each sample.

Sources are stacked with the frozen initial student first: 0 is the initial student, teachers follow, and -1 leaves a
sample out of the loss. Rules are those of Roth et al., "Fantastic Gains and Where to Find Them" (ICLR 2024,
arXiv 2310.17653), section 4, and of its public code.
"""

import torch
from torch import Tensor

from ktlight.functional.flips import prediction_flips
from ktlight.functional.precision import full_precision

INITIAL_STUDENT = 0
TEACHER = 1
LEFT_OUT = -1


def log_odds(logits_MBC: Tensor, labels_B: Tensor | None = None) -> Tensor:
    """Return each source's confidence in a class of each sample, as ``log(p / (1 - p))``.

    The log-odds order probabilities as the probabilities do, but neither end saturates: in float32, ``p`` and ``log p``
    of a well-trained network round to 1 and 0 on most samples, and sources that differ would seem to tie.

    Args:
        logits_MBC: Logits of the sources, ``[M, B, C]``.
        labels_B: The class asked about, ``int64 [B]``; by default the class that each source itself predicts.

    Returns:
        The log-odds ``[M, B]``, in float32 or wider.
    """
    logits_MBC = full_precision(logits_MBC)
    if labels_B is None:
        classes_MB1 = logits_MBC.argmax(-1, keepdim=True)
    else:
        classes_MB1 = labels_B[None, :, None].expand(logits_MBC.shape[0], -1, 1)
    # Without its maximum a row rounds the same however its logits are shifted, so equal distributions tie.
    shifted_MBC = logits_MBC - logits_MBC.amax(-1, keepdim=True)
    others_MB = shifted_MBC.scatter(-1, classes_MB1, -torch.inf).logsumexp(-1)
    return shifted_MBC.gather(-1, classes_MB1).squeeze(-1) - others_MB


def most_confident(logits_MBC: Tensor, labels_B: Tensor | None = None) -> Tensor:
    """Return the most confident source of each sample: the data partitioning (DP) of the paper, equation 5.

    Args:
        logits_MBC: Logits of the sources, ``[M, B, C]``; any number of sources.
        labels_B: True classes, ``int64 [B]``: the source with the largest ``softmax(z)[y]`` is chosen. Without them
            (unsupervised), the source with the largest ``max_c softmax(z)_c``.

    Returns:
        The chosen source of each sample, ``int64 [B]``. Ties go to the lowest index, hence to the initial student.

    >>> import torch
    >>> most_confident(torch.tensor([[[1.0, 0.0], [1.0, 0.0]], [[3.0, 0.0], [1.0, 0.0]]]))
    tensor([1, 0])
    """
    return log_odds(logits_MBC, labels_B).argmax(0)


def flip_sources(student_pred_B: Tensor, teacher_pred_B: Tensor, labels_B: Tensor, neutral: int) -> Tensor:
    """Return the source that the flip of each sample calls for: the heuristic partitioning of the paper's code.

    Args:
        student_pred_B: Classes that the *current* student predicts, ``int64 [B]``.
        teacher_pred_B: Classes that the teacher predicts, ``int64 [B]``.
        labels_B: True classes, ``int64 [B]``.
        neutral: Source of the neutral samples: 0 the initial student (``flip_st``), 1 the teacher (``flip_t``), 2 the
            third candidate, which the caller makes the mean of teacher and current student (``flip_avg``).

    Returns:
        The source of each sample, ``int64 [B]``: the teacher on positive flips, the initial student on negative ones.
    """
    positive_B, negative_B, _ = prediction_flips(student_pred_B, teacher_pred_B, labels_B)
    neutral_B = torch.full_like(labels_B, neutral, dtype=torch.int64)
    return neutral_B.masked_fill(positive_B, TEACHER).masked_fill(negative_B, INITIAL_STUDENT)


def leave_out_negative(student_pred_B: Tensor, teacher_pred_B: Tensor, labels_B: Tensor) -> Tensor:
    """Return the teacher everywhere, but leave out negative flips: the XE-KL+MCL setting of the paper's code.

    Args:
        student_pred_B: Classes that the student predicts, ``int64 [B]``.
        teacher_pred_B: Classes that the teacher predicts, ``int64 [B]``.
        labels_B: True classes, ``int64 [B]``.

    Returns:
        The source of each sample, ``int64 [B]``: 1, or -1 on negative flips.
    """
    _, negative_B, _ = prediction_flips(student_pred_B, teacher_pred_B, labels_B)
    return torch.full_like(labels_B, TEACHER, dtype=torch.int64).masked_fill(negative_B, LEFT_OUT)


def select_target(logits_MBC: Tensor, source_B: Tensor) -> Tensor:
    """Return the logits of the chosen source of each sample.

    Args:
        logits_MBC: Logits of the candidates, ``[M, B, C]``.
        source_B: Which candidate teaches each sample, ``int64 [B]``, from -1 to M-1. A sample left out (-1) gets the
            logits of the initial student: finite, and without effect because the loss leaves the sample out.

    Returns:
        The target logits ``[B, C]``, in the dtype of the candidates.
    """
    rows_B = torch.arange(logits_MBC.shape[1], device=logits_MBC.device)
    return logits_MBC[source_B.clamp_min(INITIAL_STUDENT), rows_B]
