from collections import defaultdict
from math import sqrt
from pathlib import Path
from statistics import fmean, median, stdev

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from ktlight.publication.sweep.statistics import (
    binned,
    difference_table,
    missing_table,
    pair_table,
    student_table,
    success_table,
)
from tests.publication.grid import DELTAS, table, write_grid
from tests.publication.sweep.test_intervals import two_way_loop


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


def test_bins_hold_the_pairs_of_a_performance_difference(runs: pd.DataFrame) -> None:
    pairs = pair_table(runs)
    bins = binned(pairs)
    kl = bins[bins["method"] == "kl"].set_index("bin")
    assert kl["n"].to_dict() == {"-15 to -3": 1, "3 to 15": 2, "above 15": 1}
    assert kl.loc["3 to 15", "mean"] == pytest.approx((3 + 1.5) / 2) and kl.loc["3 to 15", "q25"] == 1.875
