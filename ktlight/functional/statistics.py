"""Significance of a difference on the same test samples, and the distribution of flips over classes."""

from collections.abc import Sequence
from math import inf, sqrt
from statistics import NormalDist, fmean, stdev

import torch
from torch import Tensor


def paired_interval(gained: int, lost: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the confidence interval of a transfer delta, in percentage points.

    The adjusted Wald interval for a difference of paired proportions: adds one to both kinds of discordant pairs and
    two to the total (Bonett and Price, "Adjusted Wald Confidence Interval for a Difference of Binomial Proportions
    Based on Paired Data", Journal of Educational and Behavioral Statistics 37(4), 2012). Unlike an interval for two
    independent accuracies, it uses the fact that both models saw the same samples.

    Args:
        gained: Samples wrong before and right after.
        lost: Samples right before and wrong after.
        total: Samples in all.
        confidence: Nominal coverage, between 0 and 1.

    Returns:
        The lower and the upper bound, within -100 and 100.

    >>> low, high = paired_interval(gained=45, lost=15, total=1000)
    >>> print(f"{low:.2f} {high:.2f}")
    1.47 4.52
    """
    low, high = paired_intervals(torch.tensor(gained), torch.tensor(lost), total, confidence)
    return float(low), float(high)


def paired_intervals(gained: Tensor, lost: Tensor, total: int, confidence: float = 0.95) -> tuple[Tensor, Tensor]:
    """Return the same for any number of pairs of models, ``float64`` of the shape of the counts."""
    delta = 100 * (gained - lost).double() / (total + 2)
    margin = NormalDist().inv_cdf(0.5 + confidence / 2) * paired_error(gained, lost, total)
    return (delta - margin).clamp_min(-100), (delta + margin).clamp_max(100)


def paired_error(gained: Tensor, lost: Tensor, total: int) -> Tensor:
    """Return the standard error that :func:`paired_interval` goes by, in percentage points, ``float64``."""
    gain, loss = (gained.double() + 1) / (total + 2), (lost.double() + 1) / (total + 2)
    return 100 * ((gain + loss - (gain - loss) ** 2) / (total + 2)).sqrt()


def share_intervals(counts: Tensor, total: int, confidence: float = 0.95) -> tuple[Tensor, Tensor]:
    """Return Wilson's score interval (1927) of shares of samples, in percent, such as of positive flips.

    Args:
        counts: Samples that count, integers of any shape.
        total: Samples in all.
        confidence: Nominal coverage, between 0 and 1.

    Returns:
        The lower and the upper bounds, ``float64`` of the same shape.
    """
    square = NormalDist().inv_cdf(0.5 + confidence / 2) ** 2
    share = counts.double() / total
    middle = (share + square / (2 * total)) / (1 + square / total)
    margin = (square * (share * (1 - share) / total + square / (4 * total**2))).sqrt() / (1 + square / total)
    return (100 * (middle - margin)).clamp_min(0), (100 * (middle + margin)).clamp_max(100)


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Return the interval of the mean of independent values (Student's t); infinite for a single one."""
    if len(values) < 2:
        return -inf, inf
    from scipy.stats import t as student_t  # half a second to import

    margin = float(student_t.ppf((1 + confidence) / 2, len(values) - 1)) * stdev(values) / sqrt(len(values))
    return fmean(values) - margin, fmean(values) + margin


def mcnemar_p_value(gained: int, lost: int) -> float:
    """Return the two-sided p-value of McNemar's exact test that gains and losses are equally likely.

    Args:
        gained: Samples wrong before and right after.
        lost: Samples right before and wrong after.

    Returns:
        The p-value; 1 when no sample changed.
    """
    from scipy.stats import binomtest  # half a second to import, needed once a run

    changed = gained + lost
    return float(binomtest(gained, changed).pvalue) if changed else 1.0


def class_counts(flips_B: Tensor, labels_B: Tensor, num_classes: int) -> Tensor:
    """Return how many samples of each class are flips.

    Args:
        flips_B: Mask of the samples that count, ``bool [B]``.
        labels_B: True classes, ``int64 [B]``.
        num_classes: C.

    Returns:
        The counts, ``int64 [C]``.
    """
    counts_C = torch.zeros(num_classes, dtype=torch.int64, device=labels_B.device)
    return counts_C.index_add(0, labels_B, flips_B.to(torch.int64))


def class_entropy(counts_C: Tensor) -> Tensor:
    """Return the entropy of the distribution of flips over classes in nats, ``float64``; 0 if there are none.

    Args:
        counts_C: Flips of each class, ``[..., C]``.
    """
    share_C = counts_C.to(torch.float64) / counts_C.sum(-1, keepdim=True).clamp_min(1)
    entropy: Tensor = torch.special.entr(share_C).sum(-1)
    return entropy


def top_classes(counts_C: Tensor, percent: int) -> Tensor:
    """Return the top-p% classes: the fewest that together hold at least p% of all flips.

    Roth et al. (ICLR 2024, arXiv 2310.17653), section 3, with p in 2, 5, 20, 50 and 100.

    Args:
        counts_C: Flips of each class, ``int64 [C]``.
        percent: p, a whole number from 1 to 100.

    Returns:
        The mask of these classes, ``bool [C]``. Ties go to the lower class index; without flips no class is selected.
    """
    order_C = counts_C.argsort(descending=True, stable=True)
    sorted_C = counts_C[order_C]
    before_C = sorted_C.cumsum(0) - sorted_C
    # A class belongs if those before it hold too little; in integers, so that rounding cannot add or drop one.
    needed_C = 100 * before_C < percent * counts_C.sum()
    return torch.zeros_like(needed_C).scatter(0, order_C, needed_C)
