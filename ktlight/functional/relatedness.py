"""How related classes are, and whether those that hold a pair's positive flips are more so than others.

Similarities need no further network: they come from the rows of classifiers or from confusions. P is the number of
pairs of models, C that of classes. Classes that nothing is known of have NaN in their rows.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize


def cosine_similarity(rows_CD: Tensor, centred: bool = True) -> Tensor:
    """Return the cosines of the rows of a matrix, of a classifier for example, ``float32 [C, C]``.

    Args:
        rows_CD: One row per class.
        centred: Whether to subtract the mean row, which all classes share: without it, softmax logits would be the
            same, but not the cosines.
    """
    rows_CD = rows_CD.float()
    rows_CD = normalize(rows_CD - rows_CD.mean(0) if centred else rows_CD, dim=1)
    return rows_CD @ rows_CD.T


def confusion_similarity(mean_CC: Tensor) -> Tensor:
    """Return how much the predictions for the samples of two classes overlap, from 0 to 1.

    The Bhattacharyya coefficient of the mean distributions.

    Args:
        mean_CC: Mean probabilities of the samples of each class, one row per class.
    """
    root_CC = mean_CC.float().sqrt()
    return root_CC @ root_CC.T


class Scale(NamedTuple):
    """Mean and standard deviation of a similarity over all pairs of different classes."""

    mean: float
    deviation: float


def scale_of(similarity_CC: Tensor) -> Scale:
    """Return the scale of a similarity, over the pairs of classes that it is known of."""
    upper = similarity_CC[torch.ones_like(similarity_CC, dtype=torch.bool).triu(1)].double()
    known = upper[~upper.isnan()]
    return Scale(float(known.mean()), float(known.std(correction=0)))


def mean_similarity(similarity_CC: Tensor, chosen_PC: Tensor) -> Tensor:
    """Return the mean similarity of different classes among those chosen, ``float64 [P]``; NaN for fewer than two.

    Args:
        similarity_CC: The similarities.
        chosen_PC: Which classes are chosen, ``bool [P, C]``, such as the top-p% classes of each pair of models.
    """
    known_CC = _without_diagonal(similarity_CC)
    chosen = chosen_PC.float()
    count_P = chosen.sum(1).double()
    total_P = ((chosen @ known_CC) * chosen).sum(1).double()
    return torch.where(count_P > 1, total_P / (count_P * (count_P - 1)), torch.nan)


def greatest_similarity(similarity_CC: Tensor, chosen_PC: Tensor) -> Tensor:
    """Return the greatest similarity of two different classes among those chosen, ``[P]``; NaN for fewer than two."""
    apart_CC = similarity_CC.nan_to_num(-torch.inf).clone().fill_diagonal_(-torch.inf).numpy()
    sets = [np.flatnonzero(row) for row in chosen_PC.numpy()]
    greatest = [apart_CC[np.ix_(classes, classes)].max() if len(classes) > 1 else np.nan for classes in sets]
    return torch.tensor(greatest)


def pair_weights(chosen_PC: Tensor) -> Tensor:
    """Return the weight that each pair of classes has in the mean of `mean_similarity` times P, ``[C, C]``."""
    chosen = chosen_PC[chosen_PC.sum(1) > 1].float()
    count_P = chosen.sum(1)
    return _without_diagonal(chosen.T @ (chosen / (count_P * (count_P - 1))[:, None]))


def permuted_means(similarity_CC: Tensor, weights_CC: Sequence[Tensor], draws: int, seed: int) -> Tensor:
    """Return what mean similarities would be if the classes were others, as many and overlapping in the same way.

    The classes are permuted at random; every sum of a similarity with given weights is computed anew for each
    permutation, in float64 ``[draws, len(weights_CC)]``.

    Args:
        similarity_CC: The similarities.
        weights_CC: Weights of the pairs of classes; see :func:`pair_weights`.
        draws: Number of permutations.
        seed: Of the permutations.
    """
    known_CC = _without_diagonal(similarity_CC).numpy()
    flat = torch.stack(list(weights_CC)).flatten(1).numpy()
    random = np.random.default_rng(seed)
    sums = np.empty((draws, len(flat)))
    for draw in range(draws):
        order = random.permutation(len(known_CC))
        sums[draw] = flat @ np.take(known_CC[order], order, axis=1).ravel()
    return torch.from_numpy(sums)


def _without_diagonal(matrix_CC: Tensor) -> Tensor:
    """Return a matrix with zeros in the diagonal and where nothing is known."""
    return matrix_CC.nan_to_num(0).float().clone().fill_diagonal_(0)
