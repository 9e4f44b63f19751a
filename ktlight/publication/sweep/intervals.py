"""Intervals of means over pairs of a teacher and a student."""

from math import nan, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray


def two_way_interval(values: Any, teachers: Any, students: Any) -> tuple[float, float]:
    """Return the 95% interval of the mean over pairs, which share teachers and students and so are not independent.

    The two-way cluster-robust variance (Cameron, Gelbach and Miller, "Robust Inference with Multiway Clustering",
    Journal of Business & Economic Statistics 29(2), 2011): that of teachers plus that of students minus that of pairs,
    each with the factor G / (G - 1) of its G clusters, but at least that of pairs; Student's t with the degrees of
    freedom of the side with fewer models. A side with one model does not vary and is left out; of a side with two,
    nothing is known of how models vary: NaN, as for a single pair.
    """
    error = np.asarray(values, float) - np.mean(values)
    by_pair = _cluster_variance(error, np.arange(len(error)))
    sides = [np.unique(np.asarray(side), return_inverse=True)[1] for side in (teachers, students)]
    sides = [side for side in sides if side.max(initial=0) > 0]
    if not sides or min(side.max() for side in sides) < 2:
        return nan, nan
    variance = sum(_cluster_variance(error, side) for side in sides) - (len(sides) - 1) * by_pair
    margin = quantile(min(int(side.max()) for side in sides)) * sqrt(max(variance, by_pair))
    return float(np.mean(values) - margin), float(np.mean(values) + margin)


def quantile(degrees: int) -> float:
    """Return the 97.5% quantile of Student's t; NaN without degrees of freedom."""
    from scipy.special import stdtrit  # scipy.stats takes half a second to import

    return float(stdtrit(degrees, 0.975)) if degrees > 0 else nan


def _cluster_variance(error: NDArray[np.float64], cluster: NDArray[np.int64]) -> float:
    count = len(np.unique(cluster))
    sums = np.bincount(cluster, error)
    return float(count / max(1, count - 1) * (sums**2).sum() / len(error) ** 2)
