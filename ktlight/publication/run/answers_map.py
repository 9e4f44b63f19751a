"""The pair map of a few models from what they predicted on the same samples."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ktlight.functional.pairwise import count_pairs, error_consistency
from ktlight.publication.content import POSITIVE_FLIPS, PairMap

CLASSES = 50
"""Classes of a pair, most positive flips first."""


def answers_map(
    models: Sequence[Mapping[str, Any]],
    prediction_MN: NDArray[np.int64],
    label_N: NDArray[np.int64],
    class_names: Sequence[str],
) -> PairMap:
    """Return the map of all pairs.

    Args:
        models: Facts of each model, as for `PairMap`; the accuracy is added.
        prediction_MN: The predicted classes.
        label_N: The true classes.
        class_names: Names of the classes.
    """
    right_MN = prediction_MN == label_N
    pairs = count_pairs(torch.from_numpy(right_MN))
    flips = 100 * pairs.positive.double() / pairs.total
    difference = flips - flips.T
    off = ~torch.eye(len(models), dtype=torch.bool)
    measures = {POSITIVE_FLIPS: flips, "Accuracy difference": difference, "Error consistency": error_consistency(pairs)}
    return PairMap(
        models=[{**facts, "acc": 100 * float(acc)} for facts, acc in zip(models, right_MN.mean(1), strict=True)],
        measures={heading: torch.where(off, each, torch.nan).float().numpy() for heading, each in measures.items()},
        classes=class_names,
        top_classes={
            (teacher, student): most_frequent(label_N[right_MN[teacher] & ~right_MN[student]])
            for teacher, student in off.nonzero().tolist()
        },
        num_samples=len(label_N),
    )


def most_frequent(class_B: NDArray[np.int64], most: int = CLASSES) -> list[tuple[int, int]]:
    """Return the classes that occur most, with their counts; of equally many the lowest first."""
    classes, counts = np.unique(class_B, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:most]
    return list(zip(classes[order].tolist(), counts[order].tolist(), strict=True))


def in_percent(log_odds: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return log-odds as probabilities in percent."""
    percent: NDArray[np.float64] = 100 / (1 + np.exp(-log_odds.astype(np.float64)))
    return percent
