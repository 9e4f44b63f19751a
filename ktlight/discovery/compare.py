"""Figures of all ordered pairs of models, from what each of them says."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ktlight.discovery.asking import Asked
from ktlight.functional.pairwise import (
    count_agreements,
    count_confident_right,
    count_mean_right,
    count_pairs,
    error_consistency,
    resampled_flips,
    total_variation,
)
from ktlight.functional.statistics import paired_intervals, share_intervals

Figures = dict[str, Tensor]
"""Figures of all ordered pairs, ``float64 [M, M]``, by their column in ``pairs.parquet``; the row is the teacher."""


@dataclass(frozen=True)
class AllAnswers:
    """What all models say, side by side: M models, N samples.

    Attributes:
        prediction: Predicted classes, ``int32 [M, N]``.
        confidence: Log-odds of the predicted class, ``float32 [M, N]``.
        label: Labels, ``int64 [N]``; None where they are not to be used.
        index: Row of each sample, ``int64 [N]``.
        num_classes: C.
    """

    prediction: Tensor
    confidence: Tensor
    label: Tensor | None
    index: Tensor
    num_classes: int

    @property
    def right(self) -> Tensor:
        """Whether each model is right on each sample, ``bool [M, N]``."""
        assert self.label is not None
        return self.prediction == self.label


def side_by_side(asked: Asked, num_classes: int, labelled: bool) -> AllAnswers:
    """Return the answers of all models in one place."""
    return AllAnswers(
        prediction=torch.stack([said.prediction for said in asked.models]),
        confidence=torch.stack([said.confidence for said in asked.models]),
        label=torch.from_numpy(asked.images.labels) if labelled else None,
        index=torch.from_numpy(asked.images.rows),
        num_classes=num_classes,
    )


def agreement_figures(answers: AllAnswers) -> Figures:
    """Return what can be said of pairs without labels."""
    samples = len(answers.index)
    return {
        "agreement": 100 * count_agreements(answers.prediction).double() / samples,
        "class_drift": total_variation(answers.prediction, answers.num_classes),
    }


def flip_figures(answers: AllAnswers, resamples: int, seed: int) -> Figures:
    """Return flips, their intervals, error consistency and the accuracies of two models together.

    Args:
        answers: The answers.
        resamples: If not 0, intervals of positive flips come from so many resamples of the samples.
        seed: Of the resamples.
    """
    pairs = count_pairs(answers.right)
    acc_M = 100 * pairs.right.double() / pairs.total
    low, high = (
        resampled_flips(answers.right, resamples, seed) if resamples else share_intervals(pairs.positive, pairs.total)
    )
    difference_low, difference_high = paired_intervals(pairs.positive, pairs.negative, pairs.total)
    shares = {
        "positive_flips": pairs.positive,
        "negative_flips": pairs.negative,
        "acc_ensemble": count_confident_right(answers.right, answers.confidence),
        "acc_oracle": pairs.either,
    }
    return {
        "acc_teacher": acc_M[:, None].expand(pairs.both.shape),
        "acc_student": acc_M.expand(pairs.both.shape),
        "positive_flips_ci95_low": low,
        "positive_flips_ci95_high": high,
        "acc_difference_ci95_low": difference_low,
        "acc_difference_ci95_high": difference_high,
        "error_consistency": error_consistency(pairs),
        **{name: 100 * count.double() / pairs.total for name, count in shares.items()},
    }


def mean_ensemble(asked: Asked, answers: AllAnswers) -> Tensor:
    """Return the accuracy of the mean probability of every pair; NaN if not all probabilities were kept."""
    kept = [said.probability for said in asked.models if said.probability is not None]
    if answers.label is None or len(kept) < len(asked.models):
        return torch.full((len(asked.models),) * 2, torch.nan)
    return 100 * count_mean_right(kept, answers.label).double() / len(answers.index)
