"""The figures of a transfer, computed only from the models' predictions on the same samples."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ktlight.functional.flips import (
    complementary_knowledge,
    knowledge_gain,
    knowledge_loss,
    prediction_flips,
    transfer_rate,
)
from ktlight.functional.statistics import class_counts, class_entropy, mcnemar_p_value, paired_interval, top_classes


def transfer_figures(columns: Mapping[str, Tensor], class_names: Sequence[str]) -> dict[str, Any]:
    """Return the figures of one transfer, in percent (of the test samples unless noted otherwise).

    Args:
        columns: ``label``, ``before``, ``teacher`` (or ``teacher1``, ``teacher2``, ...), ``ensemble``,
            ``ensemble_mean`` and ``after``, and ``teacher_after`` where the teacher learned too, each int64 ``[n]``:
            the columns of the run's ``predictions.parquet``, from which every figure can be computed again.
        class_names: Names of the classes.

    Returns:
        ``transfer_delta_ci95`` is the adjusted Wald interval for paired proportions (Bonett and Price, 2012),
        ``mcnemar_p`` the exact p-value of no change; ``transfer_rate`` is None if there was nothing to transfer.
        ``flip_entropy`` (nats) and ``top20_classes`` describe where the teacher's complementary knowledge lies. Several
        teachers are combined: they know what any of them knows; ``acc_teacher`` is that of the best, and ``teachers``
        has the figures of each.
    """
    labels, before, after = columns["label"], columns["before"], columns["after"]
    teachers = {name: column for name, column in columns.items() if re.fullmatch(r"teacher\d*", name)}
    teacher = any_right(list(teachers.values()), labels)
    counts_C = class_counts(prediction_flips(before, teacher, labels)[0], labels, len(class_names))
    rate = float(transfer_rate(before, teacher, after, labels))
    figures = {
        "num_eval": len(labels),
        "acc_before": accuracy(before, labels),
        "acc_teacher": max(accuracy(each, labels) for each in teachers.values()),
        "acc_ensemble": accuracy(columns["ensemble"], labels),
        "acc_ensemble_mean": accuracy(columns["ensemble_mean"], labels),
        "acc_after": accuracy(after, labels),
        **change(before, after, labels),
        "complementary_knowledge": float(complementary_knowledge(before, teacher, labels)),
        "transfer_rate": None if math.isnan(rate) else rate,
        "flip_entropy": float(class_entropy(counts_C)),
        "top20_classes": [class_names[number] for number in top_classes(counts_C, 20).nonzero().flatten().tolist()],
    }
    for role, predictions in teachers.items():
        if f"{role}_after" in columns:
            figures |= change(predictions, columns[f"{role}_after"], labels, f"{role}_")
    if "unguarded" in columns:
        figures |= change(before, columns["unguarded"], labels, "unguarded_")
    if len(teachers) > 1:
        figures["teachers"] = [known_to(before, each, after, labels) for each in teachers.values()]
    return figures


def known_to(before: Tensor, teacher: Tensor, after: Tensor, labels: Tensor) -> dict[str, Any]:
    """Return the figures of one of several teachers: accuracy, complementary knowledge and transfer rate."""
    rate = float(transfer_rate(before, teacher, after, labels))
    return {
        "acc": accuracy(teacher, labels),
        "complementary_knowledge": float(complementary_knowledge(before, teacher, labels)),
        "transfer_rate": None if math.isnan(rate) else rate,
    }


def any_right(predictions: Sequence[Tensor], labels: Tensor) -> Tensor:
    """Return the label where any of several models is right, else the first model's prediction, ``[n]``."""
    right = torch.stack([each == labels for each in predictions]).any(0)
    return torch.where(right, labels, predictions[0])


def stage_figures(columns: Mapping[str, Tensor], number: int, *, chained: bool) -> dict[str, Any]:
    """Return how one stage of a schedule changed the student.

    Args:
        columns: As for :func:`transfer_figures`, with ``after_stage1``, ``after_stage2``, ...
        number: Number of the stage, from 1.
        chained: Whether a stage starts from the student of the stage before; otherwise from the initial one.
    """
    labels, after = columns["label"], columns[f"after_stage{number}"]
    start = columns[f"after_stage{number - 1}"] if chained and number > 1 else columns["before"]
    return {
        "acc_after": accuracy(after, labels),
        **change(start, after, labels),
        "overall_delta": accuracy(after, labels) - accuracy(columns["before"], labels),
    }


def change(before: Tensor, after: Tensor, labels: Tensor, prefix: str = "") -> dict[str, Any]:
    """Return the transfer delta of one network with its interval, p-value, knowledge gain and loss.

    Args:
        before: Predictions before, ``[n]``.
        after: Predictions after, ``[n]``.
        labels: Labels, ``[n]``.
        prefix: Put before every key, for networks other than the student.
    """
    gained, lost, _ = prediction_flips(before, after, labels)
    low, high = paired_interval(int(gained.sum()), int(lost.sum()), len(labels))
    figures = {
        "transfer_delta": accuracy(after, labels) - accuracy(before, labels),
        "transfer_delta_ci95": [low, high],
        "mcnemar_p": mcnemar_p_value(int(gained.sum()), int(lost.sum())),
        "knowledge_gain": float(knowledge_gain(before, after, labels)),
        "knowledge_loss": float(knowledge_loss(before, after, labels)),
    }
    return {f"{prefix}{name}": value for name, value in figures.items()}


def accuracy(predictions: Tensor, labels: Tensor) -> float:
    """Return the share of correct predictions in percent."""
    return float(100 * (predictions == labels).to(torch.float64).mean())


def more_confident(predictions_KB: Tensor, confidences_KB: Tensor) -> Tensor:
    """Return, per sample, the prediction of the most confident model (ties: the first); the ``ensemble`` column."""
    return predictions_KB.gather(0, confidences_KB.argmax(0, keepdim=True))[0]
