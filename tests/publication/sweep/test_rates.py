from math import isnan
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ktlight.functional import flips, statistics
from ktlight.publication.sweep.rates import TOP, read_predictions, stage_changes, top_classes, transfer_rates


@given(st.lists(st.integers(0, 6), min_size=1, max_size=12), st.sampled_from(TOP))
def test_top_classes_are_those_of_the_results(counts: list[int], percent: int) -> None:
    expected = statistics.top_classes(torch.tensor(counts), percent).tolist()
    assert top_classes(np.array(counts), percent).tolist() == expected


def test_rates_by_hand() -> None:
    """Of class 0's three flips two are gained, and one more; class 1's one is not; class 2 gains without any."""
    columns = {
        "label": np.array([0, 0, 0, 0, 1, 1, 2, 2]),
        "before": np.array([9, 9, 9, 9, 9, 1, 9, 2]),
        "teacher": np.array([0, 0, 0, 9, 1, 9, 9, 9]),
        "after": np.array([0, 0, 9, 0, 9, 1, 2, 9]),
    }
    rates = transfer_rates(columns, 3)
    assert rates["sample_rate_top100"] == 50 and rates["class_rate_top100"] == 75
    assert rates["sample_rate_top50"] == pytest.approx(100 * 2 / 3) and rates["class_rate_top50"] == 100
    assert rates["gain_top50"] == 75 and rates["gain_outside"] == 25


def test_the_rate_of_all_classes_is_the_transfer_rate() -> None:
    rng = np.random.default_rng(0)
    columns = {name: rng.integers(0, 4, 200) for name in ("label", "before", "teacher1", "teacher2", "after")}
    rates = transfer_rates(columns, 4)
    either = np.where(columns["teacher1"] == columns["label"], columns["teacher1"], columns["teacher2"])
    tensors = [torch.from_numpy(each) for each in (columns["before"], either, columns["after"], columns["label"])]
    assert rates["sample_rate_top100"] == pytest.approx(float(flips.transfer_rate(*tensors)))
    assert rates["class_rate_top100"] >= rates["sample_rate_top100"] and rates["gain_top100"] == 100


def test_nothing_to_transfer_has_no_rate() -> None:
    same = np.array([0, 1])
    rates = transfer_rates({"label": same, "before": same, "teacher": same, "after": same}, 2)
    assert all(isnan(rate) for rate in rates.values())


def test_stages_are_compared_with_the_very_first_student() -> None:
    columns = {
        "label": np.array([0, 0, 0, 0]),
        "before": np.array([0, 0, 1, 1]),
        "after_stage2": np.array([1, 0, 0, 0]),
        "after_stage1": np.array([0, 0, 0, 1]),
    }
    assert stage_changes(columns) == [
        {"stage": 1, "gain": 25, "loss": 0, "delta": 25},
        {"stage": 2, "gain": 50, "loss": 25, "delta": 25},
    ]


def test_predictions_are_read_without_confidences(tmp_path: Path) -> None:
    names = ("index", "label", "before", "teacher", "teacher_confidence", "after", "after_stage1", "ensemble")
    pq.write_table(pa.table({name: [1, 2] for name in names}), tmp_path / "predictions.parquet")
    found = read_predictions(tmp_path)
    assert found is not None and set(found) == {"label", "before", "teacher", "after", "after_stage1"}
    (tmp_path / "predictions.parquet").write_bytes(b"PAR1")
    assert read_predictions(tmp_path) is None and read_predictions(tmp_path / "nowhere") is None
