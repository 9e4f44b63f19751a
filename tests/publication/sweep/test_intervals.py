from math import isnan, sqrt
from statistics import fmean, stdev

import numpy as np
import pytest
import scipy.stats

from ktlight.publication.sweep.intervals import two_way_interval


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
