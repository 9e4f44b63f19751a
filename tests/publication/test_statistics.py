from collections import defaultdict
from math import isnan, sqrt
from pathlib import Path
from statistics import fmean, median, stdev

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from ktlight.publication.statistics import (
    binned,
    correlations,
    difference_table,
    missing_table,
    pair_table,
    pearson,
    student_table,
    success_table,
    two_way_interval,
)
from tests.publication.grid import DELTAS, SIZES, table, write_grid


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    return table(write_grid(tmp_path_factory.mktemp("grid")))


def test_the_seeds_of_a_pair_come_first(runs: pd.DataFrame) -> None:
    pairs = pair_table(runs).set_index(["method", "teacher", "student"])
    for method, of_pairs in DELTAS.items():
        for pair, deltas in of_pairs.items():
            row = pairs.loc[(method, *pair)]
            assert row["delta"] == pytest.approx(fmean(deltas)) and row["runs"] == 2
            assert (row["lowest"], row["highest"]) == (min(deltas), max(deltas))
            assert row["gain"] - row["loss"] == pytest.approx(row["delta"])
            own = fmean(deltas) - 1, fmean(deltas) + 1
            assert (row["low"], row["high"]) == pytest.approx((min(*deltas, own[0]), max(*deltas, own[1])))


def test_intervals_of_pairs(tmp_path: Path) -> None:
    pairs = pair_table(table(write_grid(tmp_path, {"kl": {("a", "b"): [1.0], ("c", "b"): [1.0, 2.0, 4.0]}})))
    one, three = (pairs[pairs["teacher"] == teacher].iloc[0] for teacher in "ac")
    assert (one["low"], one["high"]) == (0.0, 2.0)  # over the samples, as the run says
    margin = scipy.stats.t.ppf(0.975, 2) * stdev([1, 2, 4]) / sqrt(3)
    assert (three["low"], three["high"]) == pytest.approx((7 / 3 - margin, 7 / 3 + margin))


def test_success_by_hand(runs: pd.DataFrame) -> None:
    """kl: student b has -2 and 3, a has 1.5 and -0.25: half of the teachers each. kl_dp: all but none, 0.125 counts."""
    success = success_table(pair_table(runs)).set_index("method")
    assert success.loc["kl", ["median_success", "mean_delta", "n", "pairs", "runs"]].tolist() == [50, 0.5625, 2, 4, 8]
    assert success.loc["kl_dp", "median_success"] == 100
    assert success.loc["kl_dp", "mean_delta"] == pytest.approx((1 + 2.5 + 2 + 0.125) / 4)
    students = student_table(pair_table(runs)).set_index(["method", "student"])
    assert students.loc[("kl", "b"), ["success", "mean_delta", "teachers"]].tolist() == [50, 0.5, 2]
    assert students.loc[("kl", "b"), "std_delta"] == pytest.approx(stdev([-2, 3]))


def test_success_against_a_loop() -> None:
    rng = np.random.default_rng(0)
    rows = [
        {"samples": "x", "method": "kl", "teacher": t, "student": s, "delta": rng.normal(), "gain": 1.0, "loss": 1.0}
        for t in range(7) for s in range(5)
    ]  # fmt: skip
    by_student = defaultdict(list)
    for row in rows:
        by_student[row["student"]].append(row["delta"] > 0)
    expected = {student: 100 * sum(helped) / len(helped) for student, helped in by_student.items()}
    students = student_table(pd.DataFrame(rows))
    assert dict(zip(students["student"], students["success"], strict=True)) == pytest.approx(expected)
    assert students["success"].median() == median(expected.values())


def test_an_incomplete_grid_says_what_is_missing(tmp_path: Path) -> None:
    deltas = {method: dict(pairs) for method, pairs in DELTAS.items()}
    del deltas["kl"]["c", "a"]
    deltas["kl_dp"]["a", "b"] = [1.0]
    runs = table(write_grid(tmp_path, deltas))
    missing = missing_table(runs)
    found = set(missing[["method", "teacher", "student", "seed"]].itertuples(index=False, name=None))
    assert found == {("kl", "c", "a", 0), ("kl", "c", "a", 1), ("kl_dp", "a", "b", 1)}
    success = success_table(pair_table(runs)).set_index("method")
    assert success["pairs"].to_dict() == {"kl": 3, "kl_dp": 4} and set(success["pairs_in_grid"]) == {4}
    assert set(success["pairs_common"]) == {3}
    assert success.loc["kl_dp", "mean_delta_common"] == pytest.approx((1 + 2.5 + 2) / 3)
    assert missing_table(table(write_grid(tmp_path / "whole"))).empty


def test_methods_without_training_have_no_success(tmp_path: Path) -> None:
    write_grid(tmp_path / "trained")
    write_grid(tmp_path / "ensemble", {"ensemble": {("a", "b"): [9.0]}}, epochs=0)
    runs = table(tmp_path)
    assert set(runs["method"]) == {"kl", "kl_dp", "ensemble"}
    assert set(success_table(pair_table(runs))["method"]) == {"kl", "kl_dp"} and missing_table(runs).empty


def test_nothing_is_averaged_over_different_data(tmp_path: Path) -> None:
    write_grid(tmp_path / "digits")
    write_grid(tmp_path / "cifar10", {"kl": {("a", "b"): [9.0]}}, data="cifar10")
    write_grid(tmp_path / "fewer", {"kl": {("a", "b"): [7.0]}}, num_eval=100)
    success = success_table(pair_table(table(tmp_path))).set_index(["method", "samples"])["mean_delta"]
    assert success["kl", "digits, 1437 samples"] == 0.5625
    assert success["kl", "cifar10, 1437 samples"] == 9 and success["kl", "digits, 100 samples"] == 7


def two_way_loop(values: list[float], teachers: list[str], students: list[str]) -> float:
    """The variance of Cameron, Gelbach and Miller, cluster by cluster."""
    mean, n = fmean(values), len(values)

    def variance(clusters: list[str]) -> float:
        names = set(clusters)
        sums = [sum(v - mean for v, c in zip(values, clusters, strict=True) if c == name) for name in names]
        return len(names) / (len(names) - 1) * sum(each**2 for each in sums) / n**2

    pairs = [f"{t} {s}" for t, s in zip(teachers, students, strict=True)]
    return max(variance(teachers) + variance(students) - variance(pairs), variance(pairs))


def test_the_interval_of_the_mean_against_a_loop() -> None:
    rng = np.random.default_rng(1)
    teachers, students = zip(*((f"t{t}", f"s{s}") for t in range(6) for s in range(4) if t != s), strict=True)
    of_student = dict(zip(sorted(set(students)), rng.normal(size=4), strict=True))
    values = [of_student[s] + rng.normal() for s in students]
    low, high = two_way_interval(values, teachers, students)
    margin = scipy.stats.t.ppf(0.975, 3) * sqrt(two_way_loop(values, list(teachers), list(students)))
    assert (low, high) == pytest.approx((fmean(values) - margin, fmean(values) + margin))


def test_methods_are_compared_over_the_pairs_that_both_have(tmp_path: Path) -> None:
    pairs = [("b", "a"), ("c", "a"), ("a", "b"), ("c", "b"), ("a", "c"), ("b", "c")]
    first = dict(zip(pairs, ([1.0], [2.0], [0.5], [3.0], [1.0], [-1.0]), strict=True))
    second = dict(zip(pairs[:5], ([0.0], [-1.0], [1.0], [1.0], [3.0]), strict=True))
    differences = difference_table(pair_table(table(write_grid(tmp_path, {"kl_dp": first, "kl": second}))))
    row = differences.set_index(["method", "other"]).loc[("kl_dp", "kl")]
    more = [1.0, 3.0, -0.5, 2.0, -2.0]
    assert row["difference"] == pytest.approx(fmean(more)) and row["pairs"] == 5
    teachers, students = map(list, zip(*pairs[:5], strict=True))
    margin = scipy.stats.t.ppf(0.975, 2) * sqrt(two_way_loop(more, teachers, students))
    assert (row["ci95_low"], row["ci95_high"]) == pytest.approx((fmean(more) - margin, fmean(more) + margin))
    back = differences.set_index(["method", "other"]).loc[("kl", "kl_dp")]
    assert back["difference"] == pytest.approx(-fmean(more))


def test_one_teacher_leaves_the_interval_over_students() -> None:
    values = [1.0, 2.0, 4.0, 3.0]
    margin = scipy.stats.t.ppf(0.975, 3) * stdev(values) / 2
    assert two_way_interval(values, ["t"] * 4, list("abcd")) == pytest.approx((2.5 - margin, 2.5 + margin))
    assert all(isnan(end) for end in two_way_interval([1.0], ["t"], ["s"]))
    assert all(isnan(end) for end in two_way_interval([1.0, 2.0], ["t", "t"], ["s", "r"]))


def test_the_interval_covers_the_mean_where_models_have_effects_of_their_own() -> None:
    rng, covered = np.random.default_rng(2), 0
    teachers, students = np.repeat(np.arange(10), 8), np.tile(np.arange(8), 10)
    for _ in range(300):
        values = rng.normal(size=10)[teachers] + rng.normal(size=8)[students] + rng.normal(size=80)
        low, high = two_way_interval(values, teachers, students)
        covered += low <= 0 <= high
    assert 0.90 <= covered / 300 <= 0.99


def test_bins_hold_the_pairs_of_a_performance_difference(runs: pd.DataFrame) -> None:
    pairs = pair_table(runs)
    bins = binned(pairs)
    kl = bins[bins["method"] == "kl"].set_index("bin")
    assert kl["n"].to_dict() == {"-15 to -3": 1, "3 to 15": 2, "above 15": 1}
    assert kl.loc["3 to 15", "mean"] == pytest.approx((3 + 1.5) / 2) and kl.loc["3 to 15", "q25"] == 1.875


def test_correlations_against_scipy(runs: pd.DataFrame) -> None:
    pairs = pair_table(runs)
    table = correlations(pairs).set_index(["method", "property", "outcome"])
    kl = pairs[pairs["method"] == "kl"]
    for name, column in (("accuracy difference", "difference"), ("student accuracy", "acc_before")):
        expected = scipy.stats.pearsonr(kl[column], kl["delta"]).statistic
        assert table.loc[("kl", name, "delta"), "r"] == pytest.approx(expected)
    expected = scipy.stats.pearsonr(np.log([SIZES[t] for t in kl["teacher"]]), kl["gain"]).statistic
    assert table.loc[("kl", "log teacher parameters", "gain"), "r"] == pytest.approx(expected)
    assert table.loc[("kl", "teacher is cnn", "delta"), "n"] == 4
    assert isnan(table.loc[("kl", "complementary knowledge", "delta"), "r"])  # it does not vary
    assert isnan(pearson(np.array([1.0, 2.0]), np.array([1.0, 2.0])))
