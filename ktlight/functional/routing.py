"""Rules that choose which source teaches each sample.

Source 0 is the frozen initial student, teachers follow, and -1 leaves a sample out of the loss. Unless noted
otherwise, the rules are those of Roth et al., "Fantastic Gains and Where to Find Them" (ICLR 2024, arXiv 2310.17653),
section 4, and of its public code.
"""

import torch
from torch import Tensor

from ktlight.functional.confidence import log_odds, with_none_of_these
from ktlight.functional.flips import prediction_flips
from ktlight.functional.randomness import ROUTING_STREAM, random_bits, random_uniform, uncompiled

INITIAL_STUDENT = 0
TEACHER = 1
LEFT_OUT = -1


def most_confident(logits_MBC: Tensor, labels_B: Tensor | None = None, mass_MB: Tensor | None = None) -> Tensor:
    """Return the most confident source of each sample: the data partitioning (DP) of the paper, equation 5.

    Args:
        logits_MBC: Logits of the sources, ``[M, B, C]``; any number of sources.
        labels_B: True classes, ``int64 [B]``: the source with the largest ``softmax(z)[y]`` is chosen. Without them
            (unsupervised), the source with the largest ``max_c softmax(z)_c``.
        mass_MB: What each source's probabilities are multiplied by, ``[M, B]``: the mapped mass of sources with classes
            of their own; see :mod:`ktlight.functional.label_spaces`. None multiplies by 1.

    Returns:
        The chosen source of each sample, ``int64 [B]``. Ties go to the lowest index, hence to the initial student.

    >>> import torch
    >>> most_confident(torch.tensor([[[1.0, 0.0], [1.0, 0.0]], [[3.0, 0.0], [1.0, 0.0]]]))
    tensor([1, 0])
    """
    if mass_MB is not None:
        labels_B = logits_MBC.argmax(-1) if labels_B is None else labels_B
        logits_MBC = with_none_of_these(logits_MBC, mass_MB)
    return log_odds(logits_MBC, labels_B).argmax(0)


def flip_sources(student_pred_B: Tensor, teacher_pred_B: Tensor, labels_B: Tensor, neutral: int) -> Tensor:
    """Return the source of each sample by its prediction flip: the heuristic partitioning of the paper's code.

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
    """Return the teacher for every sample except negative flips, which are left out (XE-KL+MCL in the paper's code).

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


@uncompiled
def random_sources(indices_B: Tensor, view: int, seed: int, share: float, teachers: int) -> Tensor:
    """Return a teacher, uniformly at random, for a random share of the samples, and the initial student for the rest.

    A function of (seed, view, index) alone: a sample gets the same source in the same view, whatever the batch, process
    or time. Samples that a smaller share gives to a teacher go to the same teacher under a larger share.

    Args:
        indices_B: Row numbers of the samples, ``int64 [B]``, on the CPU.
        view: Number of the augmented view.
        seed: Seed of the run.
        share: Probability of a teacher, from 0 (never) to 1 (always).
        teachers: Number of teachers, at least 1.

    Returns:
        The source of each sample, ``int64 [B]``, on the CPU.
    """
    coordinates = (ROUTING_STREAM, seed, view, indices_B.numpy())
    teacher_B = TEACHER + torch.from_numpy((random_bits(*coordinates, 1) % teachers).astype("int64"))
    return teacher_B.where(torch.from_numpy(random_uniform(*coordinates, 0) < share), INITIAL_STUDENT)
