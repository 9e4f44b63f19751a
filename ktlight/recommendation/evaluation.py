"""How good advice was, on finished transfers: every score as a forecast, always beside the static ranking."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import nan

import numpy as np

from ktlight.recommendation.forecast import (
    LEARNED,
    OF_METHOD,
    OF_PAIR,
    STATIC,
    SURE,
    Cases,
    Forecast,
    Numbers,
    fitted,
    probe_forecast,
)

EXACT = 14
"""Most students for which every exchange of two rankings is tried; with more, as many are drawn."""
FORECASTS: dict[str, Sequence[str]] = {
    "static": STATIC,
    "accuracy difference": ["acc_difference"],
    **{name.replace("_", " "): [name] for name in (*OF_PAIR, *OF_METHOD)},
    "learned": LEARNED,
}
"""The scores of each forecast that is fitted on the runs left in."""
UNFITTED = "probe, not fitted"
NOTHING = "do nothing"


@dataclass(frozen=True)
class Verdict:
    """How one forecast did.

    Attributes:
        score: Its name.
        left_out: What the fit had not seen: the ``student`` or the ``teacher`` of the run.
        spearman: Rank correlation with the deltas over all runs.
        kendall: Weighted Kendall's tau over the candidates of a student, mean over students.
        regret_first: Points that the first choice loses against the best in hindsight, mean over students.
        regret_best_of_three: Likewise the best of the first three choices.
        brier: Brier score of the probability of a gain; 0.25 is that of always saying 50%.
        coverage: Percentage of the deltas within the 95% interval.
        p_static: Permutation test that the first choices are as good as those of the static ranking.
        runs: Number of runs.
        students: Number of students.
    """

    score: str
    left_out: str
    spearman: float
    kendall: float
    regret_first: float
    regret_best_of_three: float
    brier: float
    coverage: float
    p_static: float
    runs: int
    students: int


def evaluate(cases: Cases, delta: Numbers) -> list[Verdict]:
    """Return how every forecast did, with the students and then with the teachers left out.

    "Do nothing" is among each student's candidates, with a delta of 0. Nothing is fitted for `UNFITTED`.

    Args:
        cases: The finished runs.
        delta: Their deltas, in points.
    """
    verdicts = []
    for left_out, groups in (("student", cases.student), ("teacher", cases.teacher)):
        if len(set(groups)) < 2:
            continue
        forecasts = {name: left_out_forecast(cases, delta, groups, scores) for name, scores in FORECASTS.items()}
        forecasts[UNFITTED] = probe_forecast(cases)
        forecasts[NOTHING] = Forecast(np.full(len(delta), -1.0), np.ones(len(delta)))
        static = regrets(forecasts["static"].mean, cases.student, delta, 1)
        verdicts += [judge(name, left_out, each, cases, delta, static) for name, each in forecasts.items()]
    return verdicts


def left_out_forecast(cases: Cases, delta: Numbers, groups: Sequence[str], names: Sequence[str]) -> Forecast:
    """Return the forecast of each run from those of the other groups."""
    mean, spread = np.empty(len(delta)), np.empty(len(delta))
    for left in set(groups):
        inside = np.array([group == left for group in groups])
        rest, own = np.flatnonzero(~inside), np.flatnonzero(inside)
        others = [groups[row] for row in rest.tolist()]
        mean[own], spread[own] = fitted(cases.take(rest), delta[rest], others, cases.take(own), names)
    return Forecast(mean, spread)


def judge(
    name: str, left_out: str, forecast: Forecast, cases: Cases, delta: Numbers, static: Mapping[str, float]
) -> Verdict:
    """Return how one forecast did; ``static`` are the regrets of the static ranking by student."""
    from scipy.stats import spearmanr, weightedtau

    constant = np.ptp(forecast.mean) == 0 or np.ptp(delta) == 0
    first, three = (regrets(forecast.mean, cases.student, delta, most) for most in (1, 3))
    taus = [
        float(weightedtau(forecast.mean[rows], delta[rows]).statistic)
        for rows in rows_of(cases.student).values()
        if np.ptp(forecast.mean[rows]) > 0 and np.ptp(delta[rows]) > 0
    ]
    inside = np.abs(delta - forecast.mean) <= SURE * forecast.spread
    differences = np.array([first[student] - static[student] for student in first])
    says = name != NOTHING
    return Verdict(
        score=name,
        left_out=left_out,
        spearman=nan if constant else float(spearmanr(forecast.mean, delta).statistic),
        kendall=float(np.mean(taus)) if taus else nan,
        regret_first=float(np.mean(list(first.values()))),
        regret_best_of_three=float(np.mean(list(three.values()))),
        brier=float(np.mean((forecast.probability_of_gain - (delta > 0)) ** 2)) if says else nan,
        coverage=100 * float(inside.mean()) if says else nan,
        p_static=nan if name == "static" else exchange_p_value(differences),
        runs=len(delta),
        students=len(first),
    )


def rows_of(groups: Sequence[str]) -> dict[str, list[int]]:
    """Return the rows of each group."""
    return {group: [row for row, each in enumerate(groups) if each == group] for group in dict.fromkeys(groups)}


def regrets(mean: Numbers, students: Sequence[str], delta: Numbers, most: int) -> dict[str, float]:
    """Return the points that the best of a student's first choices loses against the best in hindsight.

    A candidate to do nothing, with a forecast and a delta of 0, is among them; it comes first of equals.

    Args:
        mean: Forecast of each run.
        students: Its student.
        delta: Its delta.
        most: How many choices may be tried.
    """
    lost = {}
    for student, rows in rows_of(students).items():
        outcomes = np.array([0.0, *delta[rows]])
        chosen = np.argsort(-np.array([0.0, *mean[rows]]), kind="stable")[:most]
        lost[student] = float(outcomes.max() - outcomes[chosen].max())
    return lost


def exchange_p_value(differences: Numbers) -> float:
    """Return the two-sided p-value that paired differences have their sign by chance: every exchange is tried."""
    changed = differences[differences != 0]
    if not len(changed):
        return 1.0
    if len(changed) <= EXACT:
        signs = np.array(list(product((-1, 1), repeat=len(changed))))
    else:
        signs = np.random.default_rng(0).choice((-1, 1), (2**EXACT, len(changed)))
    sums = np.abs(signs @ changed)
    return float(np.mean(sums >= abs(changed.sum()) * (1 - 1e-12)))
