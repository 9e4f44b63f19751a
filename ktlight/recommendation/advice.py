"""From scores to a ranked list with reasons."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ktlight.recommendation.candidates import Candidate
from ktlight.recommendation.finished import Transferred
from ktlight.recommendation.forecast import LEARNED, Cases, Forecast, Numbers, fitted, probe_forecast
from ktlight.recommendation.scoring import Scores
from ktlight.report.recommendation import NOTHING

STAYS: dict[str, Any] = {
    "teacher": None,
    "method": NOTHING,
    "expected_delta": 0.0,
    "ci95_low": 0.0,
    "ci95_high": 0.0,
    "probability_of_gain": 0.0,
    "forward_passes": 0,
    "seconds": 0.0,
    "reason": "the student stays as it is, at no cost",
}
"""The candidate that costs nothing."""


class Known(NamedTuple):
    """Finished transfers with the scores of their candidates.

    Attributes:
        cases: One for each run.
        delta: What came of it, in points.
    """

    cases: Cases
    delta: Numbers

    def without(self, student: str) -> "Known":
        """Return the runs of other students, told apart by weights."""
        rows = np.array([row for row, each in enumerate(self.cases.student) if each != student], int)
        return Known(self.cases.take(rows), self.delta[rows])


def cases_of(candidates: Sequence[Candidate], scores: Sequence[Scores]) -> Cases:
    """Return candidates as arrays; models are told apart by their weights."""
    return Cases(
        [each.student.weights_hash() for each in candidates],
        [each.teacher.weights_hash() for each in candidates],
        [each.method for each in candidates],
        {name: np.array([each[name] for each in scores]) for name in (scores[0] if scores else {})},
    )


def known_of(transfers: Sequence[Transferred], scores: Sequence[Scores]) -> Known:
    """Return finished transfers as arrays."""
    candidates = [Candidate(each.student, each.teacher, each.method) for each in transfers]
    return Known(cases_of(candidates, scores), np.array([each.delta for each in transfers]))


def forecast(cases: Cases, known: Known | None, learn_from: int) -> tuple[Forecast, str]:
    """Return the forecast of every candidate of one student, and in words what it rests on.

    Runs of the same student are left out: their deltas are measured on the samples that the choice is for.

    Args:
        cases: The candidates.
        known: The finished runs; None if none were given.
        learn_from: How many runs of other students a fitted forecast needs.
    """
    others = known.without(cases.student[0]) if known is not None else None
    if others is not None and len(others.delta) >= learn_from:
        count = len(others.delta)
        return fitted(others.cases, others.delta, others.cases.student, cases, LEARNED), (
            f"a ridge on {len(LEARNED)} scores, fitted on {count} finished runs of other students"
        )
    return probe_forecast(cases), (
        f"the head probe, by the line and the spread of an earlier trial; from {learn_from} finished runs of other "
        "students on (recommend.runs=), a ridge fitted on them"
    )


def ranked(
    names: Sequence[tuple[str, str]],
    scores: Sequence[Scores],
    forecasts: Forecast,
    costs: Sequence[tuple[int, float]],
) -> list[dict[str, Any]]:
    """Return the rows of ``recommendations.parquet``, best first, with doing nothing among them.

    Args:
        names: Each candidate's teacher and method.
        scores: Its scores.
        forecasts: The forecast of its delta.
        costs: Its forward passes and seconds.
    """
    low, high = forecasts.interval
    gain = forecasts.probability_of_gain
    rows: list[dict[str, Any]] = [
        {
            "teacher": teacher,
            "method": method,
            "expected_delta": float(forecasts.mean[number]),
            "ci95_low": float(low[number]),
            "ci95_high": float(high[number]),
            "probability_of_gain": float(gain[number]),
            "forward_passes": costs[number][0],
            "seconds": costs[number][1],
            "reason": reason(scores[number]),
        }
        for number, (teacher, method) in enumerate(names)
    ]
    likelihoods = np.array([each["probe_likelihood"] for each in scores])
    order = np.lexsort((-likelihoods, -forecasts.mean))  # few held-out images make equal forecasts
    better = [rows[number] for number in order if forecasts.mean[number] > 0]
    worse = [rows[number] for number in order if forecasts.mean[number] <= 0]
    return [{"rank": rank, **row} for rank, row in enumerate([*better, STAYS, *worse], 1)]


def reason(scores: Mapping[str, float]) -> str:
    """Return in words why a candidate is where it is."""
    probe, headroom = scores["probe"], scores["headroom"]
    changed = f"the head {'gains' if probe >= 0 else 'loses'} {abs(probe):.2f} in the probe"
    likelihood = scores["probe_likelihood"]
    surer = f"is {'surer' if likelihood >= 0 else 'less sure'} of the right class ({likelihood:+.3f} nats)"
    target = f"its target is {abs(headroom):.1f} points {'above' if headroom >= 0 else 'below'} the student"
    flips = f"the teacher alone is right on {scores['positive_flips']:.1f}%, the student alone on "
    return f"{changed} and {surer}; {target}; {flips}{scores['negative_flips']:.1f}%"
