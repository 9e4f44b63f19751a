"""From scores to a forecast of the delta: the probe with a stated spread, or a ridge fitted on finished runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

SURE = 1.959964
"""Standard deviations on both sides that hold 95% of a normal distribution."""
OFFSET, SLOPE = 0.5, 1.5
"""The delta of a transfer where the probe's is 0, and its growth with the probe's, before any run has calibrated them:
the line through the ten transfers of a trial on other models (docs/recommendation.md), rounded."""
SPREAD = 1.0
"""Standard deviation of a delta around a forecast of 0, in points, before any run has calibrated it; 0.7 there."""
GROWTH = 0.5
"""By how much it grows with every point of the forecast, in either direction."""
PENALTIES = np.logspace(-2, 3, 11)

STATIC = ("acc_difference", "acc_student", "log_params_difference", "same_family")
"""What is known without any look at the images."""
OF_PAIR = (
    "positive_flips", "complementary_share", "error_consistency", "flip_entropy", "capa", "leep", "ensemble_headroom",
)  # fmt: skip
"""What the two models' answers on training images say, whatever the method."""
OF_METHOD = ("headroom", "headroom_likelihood", "first_order", "probe", "probe_likelihood")
"""What they say of the method too."""
LEARNED = (*STATIC, *OF_METHOD)
"""What a forecast is fitted on. Runs are few, and most scores of the pair follow the accuracy difference."""


@dataclass(frozen=True)
class Cases:
    """Candidates and their scores, one entry each.

    Attributes:
        student: What tells students apart.
        teacher: Likewise.
        method: Name of the method.
        scores: ``float [n]`` by name: `STATIC`, `OF_PAIR`, `OF_METHOD` and ``probe_error``.
    """

    student: Sequence[str]
    teacher: Sequence[str]
    method: Sequence[str]
    scores: Mapping[str, Numbers]

    def __len__(self) -> int:
        return len(self.method)

    def take(self, rows: NDArray[np.intp]) -> "Cases":
        """Return some of the cases."""
        student, teacher, method = ([names[row] for row in rows] for names in (self.student, self.teacher, self.method))
        return Cases(student, teacher, method, {name: column[rows] for name, column in self.scores.items()})


class Forecast(NamedTuple):
    """Normal distributions of the delta, in points.

    Attributes:
        mean: ``[n]``.
        spread: Standard deviations, ``[n]``.
    """

    mean: Numbers
    spread: Numbers

    @property
    def interval(self) -> tuple[Numbers, Numbers]:
        """The 95% intervals."""
        return self.mean - SURE * self.spread, self.mean + SURE * self.spread

    @property
    def probability_of_gain(self) -> Numbers:
        """The probabilities that the delta is above 0."""
        from scipy.stats import norm

        probability: Numbers = norm.cdf(self.mean / np.maximum(self.spread, 1e-9))
        return probability


def widened(mean: Numbers, scale: float) -> Numbers:
    """Return the spread around forecasts: large effects are known less well."""
    return scale * (1 + GROWTH * np.abs(mean))


def probe_forecast(cases: Cases) -> Forecast:
    """Return what the probe alone says: an assumed line, with its sampling error and an assumed spread.

    The line and the spread say that the head is not the whole network, until finished runs have calibrated them.
    """
    mean = OFFSET + SLOPE * cases.scores["probe"]
    return Forecast(mean, np.hypot(SLOPE * cases.scores["probe_error"], widened(mean, SPREAD)))


def design(cases: Cases, names: Sequence[str], methods: Sequence[str]) -> Numbers:
    """Return the columns that a ridge sees: scores, methods, and the accuracy difference by method, ``[n, columns]``.

    A single score stands alone, so that its forecast ranks as the score itself does.
    """
    columns = [cases.scores[name] for name in names]
    if len(names) > 1:
        chosen = [np.array([each == method for each in cases.method], float) for method in methods]
        columns += [*chosen, *(each * cases.scores["acc_difference"] for each in chosen)]
    return np.stack(columns, 1)


class Ridge:
    """A linear model with a penalty on standardised columns, chosen by the squared error with one case left out.

    The error of a left-out case is its residual over one minus its leverage, so that no case is really left out (Golub,
    Heath and Wahba, "Generalized Cross-Validation as a Method for Choosing a Good Ridge Parameter", 1979).

    Args:
        columns: ``[n, columns]``; missing values count as the mean.
        delta: ``[n]``.
    """

    def __init__(self, columns: Numbers, delta: Numbers) -> None:
        known = np.where(np.isnan(columns).all(0), 0.0, columns)
        self.middle, self.scale = np.nanmean(known, 0), np.nanstd(known, 0) + 1e-12
        self.offset = delta.mean()
        left, singular, right = np.linalg.svd(self._standard(columns), full_matrices=False)
        along = left.T @ (delta - self.offset)
        errors = []
        for penalty in PENALTIES:
            kept = singular**2 / (singular**2 + penalty)
            leverage = (left**2) @ kept + 1 / len(delta)
            residual = delta - self.offset - left @ (kept * along)
            errors.append(np.mean((residual / np.maximum(1 - leverage, 1e-9)) ** 2))
        penalty = PENALTIES[int(np.argmin(errors))]
        self.weights = right.T @ (singular / (singular**2 + penalty) * along)

    def __call__(self, columns: Numbers) -> Numbers:
        """Return the forecast of each row."""
        forecast: Numbers = self._standard(columns) @ self.weights + self.offset
        return forecast

    def _standard(self, columns: Numbers) -> Numbers:
        standard: Numbers = np.nan_to_num((columns - self.middle) / self.scale)
        return standard


def fitted(known: Cases, delta: Numbers, groups: Sequence[str], new: Cases, names: Sequence[str]) -> Forecast:
    """Return the forecast of a ridge fitted on finished runs.

    Its spread is that of the same ridge on groups that it was not fitted on.

    Args:
        known: The finished runs.
        delta: Their deltas.
        groups: What to leave out together, such as the students.
        new: What to forecast.
        names: Scores to use.
    """
    methods = sorted(set(known.method))
    columns, wanted = design(known, names, methods), design(new, names, methods)
    inner = np.empty(len(delta))
    for left in set(groups):
        inside = np.array([group == left for group in groups])
        fit = ~inside if not inside.all() else inside
        inner[inside] = Ridge(columns[fit], delta[fit])(columns[inside])
    scale = float(np.sqrt(np.mean(((delta - inner) / widened(inner, 1.0)) ** 2)))
    mean = Ridge(columns, delta)(wanted)
    return Forecast(mean, widened(mean, scale))
