"""How advice is judged, on cases worked out by hand and on planted ones."""

import re
from itertools import product
from math import isnan

import numpy as np
import pytest
from scipy.stats import norm, spearmanr
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ktlight.recommendation.evaluation import FORECASTS, NOTHING, UNFITTED, evaluate, exchange_p_value, regrets
from ktlight.recommendation.forecast import (
    LEARNED,
    OF_METHOD,
    OF_PAIR,
    OFFSET,
    PENALTIES,
    SLOPE,
    SPREAD,
    STATIC,
    Cases,
    Forecast,
    Ridge,
    fitted,
    probe_forecast,
)
from tests.conftest import REPOSITORY

METHODS = ("kl", "kl_dp")


def planted(students: int = 6, teachers: int = 5, noise: float = 0.3, seed: int = 0) -> tuple[Cases, np.ndarray]:
    """Return runs whose delta the probe tells, up to noise, and nothing else does."""
    draw = np.random.default_rng(seed)
    triples = [(f"s{s}", f"t{t}", method) for s, t, method in product(range(students), range(teachers), METHODS)]
    count = len(triples)
    scores = {name: draw.normal(size=count) for name in (*STATIC, *OF_PAIR, *OF_METHOD)}
    delta = 2 * scores["probe"] + noise * draw.normal(size=count)
    student, teacher, method = map(list, zip(*triples, strict=True))
    return Cases(student, teacher, method, {**scores, "probe_error": np.full(count, 0.5)}), delta


def test_regret_by_hand() -> None:
    # a: the second is chosen, 3 behind the best; b: nothing is chosen, rightly; c: a loss is chosen over nothing
    students = ["a", "a", "b", "c"]
    mean = np.array([1.0, 2.0, -1.0, 0.5])
    delta = np.array([4.0, 1.0, -2.0, -1.5])
    assert regrets(mean, students, delta, 1) == {"a": 3, "b": 0, "c": 1.5}
    assert regrets(mean, students, delta, 3) == {"a": 0, "b": 0, "c": 0}


def test_exchanges_by_hand() -> None:
    # of the 8 signs of three equal differences, two give a sum as large: all plus and all minus
    assert exchange_p_value(np.array([1.0, 1.0, 0.0, 1.0])) == 2 / 8
    assert exchange_p_value(np.zeros(4)) == 1
    assert exchange_p_value(np.full(20, -1.0)) < 0.01  # too many for all exchanges


def test_the_planted_score_is_found_and_the_others_are_not() -> None:
    cases, delta = planted()
    verdicts = {(each.score, each.left_out): each for each in evaluate(cases, delta)}
    assert {score for score, _ in verdicts} == {*FORECASTS, UNFITTED, NOTHING}
    for left_out in ("student", "teacher"):
        static, probe, learned = (verdicts[name, left_out] for name in ("static", "probe", "learned"))
        assert probe.spearman > 0.95 > abs(static.spearman) and learned.spearman > 0.9
        assert probe.regret_first < 0.3 < static.regret_first
        assert 85 <= probe.coverage <= 100 and probe.brier < 0.1 < static.brier
        assert probe.p_static < 0.1 and isnan(static.p_static)
        nothing = verdicts[NOTHING, left_out]
        best = [max(0, delta[[each == student for each in cases.student]].max()) for student in set(cases.student)]
        assert nothing.regret_first == pytest.approx(np.mean(best)) and isnan(nothing.spearman)
        assert (probe.runs, probe.students) == (60, 6)


def test_figures_equal_a_loop() -> None:
    cases, delta = planted(seed=1, noise=1.0)
    found = next(each for each in evaluate(cases, delta) if each.score == UNFITTED)
    mean = OFFSET + SLOPE * cases.scores["probe"]
    spread = np.sqrt((SLOPE * 0.5) ** 2 + (SPREAD * (1 + np.abs(mean) / 2)) ** 2)
    brier = inside = 0.0
    for m, s, d in zip(mean, spread, delta, strict=True):
        brier += (norm.cdf(m / s) - (d > 0)) ** 2 / len(delta)
        inside += 100 * (m - 1.96 * s <= d <= m + 1.96 * s) / len(delta)
    assert found.brier == pytest.approx(brier) and found.coverage == pytest.approx(inside)
    assert found.spearman == pytest.approx(spearmanr(mean, delta).statistic)


def test_a_left_out_student_is_not_seen() -> None:
    cases, delta = planted()
    changed = np.where([student == "s0" for student in cases.student], delta + 100, delta)
    for one, two in zip(evaluate(cases, delta), evaluate(cases, changed), strict=True):
        if one.score == "learned" and one.left_out == "student":
            assert two.spearman < one.spearman  # its forecasts did not follow
    rest = np.array([row for row, student in enumerate(cases.student) if student != "s0"])
    own = np.array([row for row, student in enumerate(cases.student) if student == "s0"])
    forecasts = [
        fitted(cases.take(rest), values[rest], [cases.student[row] for row in rest], cases.take(own), ["probe"])
        for values in (delta, changed)
    ]
    np.testing.assert_array_equal(forecasts[0].mean, forecasts[1].mean)


def test_one_student_cannot_be_left_out() -> None:
    cases, delta = planted(students=1)
    assert {each.left_out for each in evaluate(cases, delta)} == {"teacher"}


def test_a_fitted_line_equals_least_squares_where_data_are_plenty() -> None:
    draw = np.random.default_rng(0)
    probe = draw.normal(size=400)
    delta = 1.5 * probe - 0.7
    cases = Cases([f"s{n % 8}" for n in range(400)], ["t"] * 400, ["kl"] * 400, {"probe": probe})
    forecast = fitted(cases, delta, cases.student, cases, ["probe"])
    np.testing.assert_allclose(forecast.mean, delta, atol=0.01)


def test_the_ridge_equals_that_of_scikit_learn() -> None:
    draw = np.random.default_rng(0)
    columns, new = draw.normal(2, 3, (40, 12)), draw.normal(2, 3, (5, 12))
    delta = columns[:, 0] - columns[:, 1] + 3 * draw.normal(size=40)
    reference = make_pipeline(StandardScaler(), RidgeCV(PENALTIES)).fit(columns, delta)
    np.testing.assert_allclose(Ridge(columns, delta)(new), reference.predict(new))


def test_missing_scores_count_as_the_mean() -> None:
    cases, delta = planted()
    scores = {**cases.scores, "first_order": np.full(len(delta), np.nan)}
    holed = Cases(cases.student, cases.teacher, cases.method, scores)
    assert np.isfinite(fitted(holed, delta, holed.student, holed, LEARNED).mean).all()


def test_the_assumed_line_is_that_of_the_trial() -> None:
    """The table of docs/recommendation.md."""
    text = (REPOSITORY / "docs" / "recommendation.md").read_text()
    rows = re.findall(r"^\| test_\w+ -> test_\w+ \| kl\w* \| ([-+.\d]+) \| ([-+.\d]+) \|$", text, re.M)
    probe, full = np.array(rows, float).T
    assert len(probe) == 10
    slope, offset = np.polyfit(probe, full, 1)
    assert (round(offset, 1), round(slope, 1)) == (OFFSET, SLOPE)
    assert np.std(full - offset - slope * probe, ddof=2) < SPREAD


def test_the_forecast_of_a_probe() -> None:
    cases = Cases(["s"], ["t"], ["kl"], {"probe": np.array([2.0]), "probe_error": np.array([1.5])})
    forecast = probe_forecast(cases)
    assert forecast.mean == 3.5  # 0.5 + 1.5 * 2
    assert forecast.spread == pytest.approx(np.hypot(1.5 * 1.5, 2.75))  # 1.0 * (1 + 0.5 * 3.5)
    assert forecast.probability_of_gain == pytest.approx(norm.cdf(3.5 / np.hypot(2.25, 2.75)))
    low, high = Forecast(np.array([1.0]), np.array([1.0])).interval
    assert (low, high) == (pytest.approx(-0.96, abs=0.001), pytest.approx(2.96, abs=0.001))
