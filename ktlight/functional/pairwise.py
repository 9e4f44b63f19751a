"""What each of many classifiers knows that each of the others does not: figures of all ordered pairs at once.

Everything is computed from which model is right on which sample (``right_MN``), by matrix products and in blocks, so
that hundreds of models on tens of thousands of samples fit in memory; counts are exact integers. M is the number of
models, N that of samples. In matrices ``[M, M]`` of ordered pairs the row is the teacher and the column the student.

Definitions follow Roth et al. (ICLR 2024, arXiv 2310.17653), section 3; docs/discovery.md works an example out by hand.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

EXACT = 2**22
"""Samples per product: float32 counts exactly up to 2^24."""
IN_CACHE = 2**11
"""Samples per comparison, so that a block of all models stays in the processor's cache."""

Comparison = Callable[[slice, slice, slice], NDArray[np.bool_]]
"""Says of one model, others and some samples where a property holds, ``[others, samples]``."""


class Pairs(NamedTuple):
    """How often the models of every ordered pair are right, as counts of samples, ``int64 [M, M]``.

    Attributes:
        both: Both are right.
        positive: The teacher is right and the student wrong: positive flips, its complementary knowledge.
        total: N, the number of samples.
    """

    both: Tensor
    positive: Tensor
    total: int

    @property
    def right(self) -> Tensor:
        """Samples that each model is right on, ``[M]``."""
        return self.both.diagonal()

    @property
    def negative(self) -> Tensor:
        """The student is right and the teacher wrong: negative flips."""
        return self.positive.T

    @property
    def either(self) -> Tensor:
        """Any of the two is right: an oracle that chooses among them."""
        return self.positive + self.right


def count_pairs(right_MN: Tensor) -> Pairs:
    """Return how often the models of every pair are right.

    Args:
        right_MN: Whether each model is right on each sample, ``bool [M, N]``.
    """
    models, samples = right_MN.shape
    both = torch.zeros(models, models, dtype=torch.int64)
    for block in torch.split(right_MN, EXACT, 1):
        numbers = block.float()
        both += (numbers @ numbers.T).long()
    return Pairs(both, both.diagonal()[:, None] - both, samples)


def error_consistency(pairs: Pairs) -> Tensor:
    """Return how much more often two models are right or wrong together than their accuracies make them, Cohen's kappa.

    Geirhos et al., "Beyond accuracy: quantifying trial-by-trial behaviour of CNNs and humans by measuring error
    consistency" (NeurIPS 2020, arXiv 2006.16736). 1: always together; 0: as chance has it.

    Returns:
        ``float64 [M, M]``; NaN where both models are always right or both always wrong.
    """
    acc_M = pairs.right.double() / pairs.total
    observed = 1 - (pairs.positive + pairs.negative).double() / pairs.total
    expected = torch.outer(acc_M, acc_M) + torch.outer(1 - acc_M, 1 - acc_M)
    return torch.where(expected == 1, torch.nan, (observed - expected) / (1 - expected))


def count_confident_right(right_MN: Tensor, confidence_MN: Tensor) -> Tensor:
    """Return how often the more confident model of each pair is right (ties: the earlier one), ``int64 [M, M]``."""

    def right(first: slice, others: slice, samples: slice) -> NDArray[np.bool_]:
        surer = confidence[first, samples] >= confidence[others, samples]
        known, theirs = correct[first, samples], correct[others, samples]
        chosen: NDArray[np.bool_] = theirs ^ (surer & (theirs ^ known))
        return chosen

    correct, confidence = right_MN.numpy(), confidence_MN.numpy()
    return _count_symmetric(right_MN, right)


def count_agreements(prediction_MN: Tensor) -> Tensor:
    """Return how often the models of each pair predict the same class, right or wrong, ``int64 [M, M]``."""

    def same(first: slice, others: slice, samples: slice) -> NDArray[np.bool_]:
        equal: NDArray[np.bool_] = said[first, samples] == said[others, samples]
        return equal

    said = prediction_MN.numpy()
    return _count_symmetric(prediction_MN, same)


def count_mean_right(probability_MNC: Sequence[Tensor], labels_N: Tensor) -> Tensor:
    """Return how often the mean probability of each pair has its maximum at the label, ``int64 [M, M]``.

    Args:
        probability_MNC: Probabilities of each model, ``[N, C]``.
        labels_N: The labels.
    """
    models = len(probability_MNC)
    counts = torch.zeros(models, models, dtype=torch.int64)
    for first in range(models):
        for second in range(first, models):
            mean_NC = probability_MNC[first] + probability_MNC[second]
            counts[first, second] = counts[second, first] = int((mean_NC.argmax(1) == labels_N).sum())
    return counts


def total_variation(prediction_MN: Tensor, num_classes: int) -> Tensor:
    """Return how much the distributions of the predicted classes of two models differ, in percent, ``[M, M]``.

    The total variation: the smallest share of the samples that would have to be predicted otherwise for both to be
    equal. Between a model before and after a training this is the drift of its predictions.
    """
    counts_MC = torch.stack([torch.bincount(said.long(), minlength=num_classes) for said in prediction_MN]).double()
    return 50 * torch.cdist(counts_MC, counts_MC, p=1) / prediction_MN.shape[1]


class Coverage(NamedTuple):
    """A greedy choice of models that complement each other.

    Attributes:
        models: Their numbers, in the order of choice.
        covered: Samples that any of those chosen so far is right on.
    """

    models: list[int]
    covered: list[int]


def greedy_coverage(right_MN: Tensor, most: int) -> Coverage:
    """Choose models that together are right on as many samples as possible, each the best addition to those before.

    What k models cover is within 1 - 1/e of the best k (Nemhauser, Wolsey and Fisher, 1978). It ends earlier where no
    model adds anything.
    """
    right, chosen = right_MN.numpy(), Coverage([], [])
    known = np.zeros(right.shape[1], bool)
    for _ in range(min(most, len(right))):
        gains = np.count_nonzero(right & ~known, axis=1)
        best = int(gains.argmax())
        if not gains[best]:
            break
        known = known | right[best]
        chosen.models.append(best)
        chosen.covered.append(int(known.sum()))
    return chosen


def resampled_flips(right_MN: Tensor, draws: int, seed: int, confidence: float = 0.95) -> tuple[Tensor, Tensor]:
    """Return the bootstrap interval of every pair's positive flips, in percent, ``float64 [M, M]`` each.

    All pairs share the samples, so samples are drawn with replacement: unlike the closed form for one pair, the draws
    can be used for any function of several pairs.

    Args:
        right_MN: Whether each model is right on each sample, ``bool [M, N]``.
        draws: Number of draws.
        seed: Of the draws.
        confidence: Nominal coverage, between 0 and 1.
    """
    generator = torch.Generator().manual_seed(seed)
    models, samples = right_MN.shape
    right_MN = right_MN.float()
    flips_DMM = torch.empty(draws, models, models)
    for draw in range(draws):
        weights_N = torch.bincount(torch.randint(samples, (samples,), generator=generator), minlength=samples)
        flips_DMM[draw] = (right_MN * weights_N) @ (1 - right_MN).T
    tail = (1 - confidence) / 2
    low, high = np.quantile(flips_DMM.numpy(), [tail, 1 - tail], axis=0)
    return 100 * torch.from_numpy(low) / samples, 100 * torch.from_numpy(high) / samples


def _count_symmetric(models_MN: Tensor, holds: Comparison) -> Tensor:
    """Count, block by block, the samples for which a symmetric property of two models holds, ``int64 [M, M]``."""
    models, samples = models_MN.shape
    counts = np.zeros((models, models), np.int64)
    for start in range(0, samples, IN_CACHE):
        block = slice(start, start + IN_CACHE)
        for first in range(models):
            held = holds(slice(first, first + 1), slice(first, None), block)
            counts[first, first:] += np.count_nonzero(held, axis=1)
    return torch.from_numpy(np.triu(counts) + np.triu(counts, 1).T)
