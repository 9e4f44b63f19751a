from math import isnan
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from ktlight.publication.sweep.correlations import correlations, pearson
from ktlight.publication.sweep.statistics import pair_table
from tests.publication.grid import SIZES, table, write_grid


def test_correlations_against_scipy(tmp_path: Path) -> None:
    pairs = pair_table(table(write_grid(tmp_path)))
    found = correlations(pairs).set_index(["method", "property", "outcome"])
    kl = pairs[pairs["method"] == "kl"]
    for name, column in (("accuracy difference", "difference"), ("student accuracy", "acc_before")):
        expected = scipy.stats.pearsonr(kl[column], kl["delta"]).statistic
        assert found.loc[("kl", name, "delta"), "r"] == pytest.approx(expected)
    expected = scipy.stats.pearsonr(np.log([SIZES[t] for t in kl["teacher"]]), kl["gain"]).statistic
    assert found.loc[("kl", "log teacher parameters", "gain"), "r"] == pytest.approx(expected)
    assert found.loc[("kl", "teacher is cnn", "delta"), "n"] == 4
    assert isnan(found.loc[("kl", "complementary knowledge", "delta"), "r"])  # it does not vary
    assert isnan(pearson(np.array([1.0, 2.0]), np.array([1.0, 2.0])))
