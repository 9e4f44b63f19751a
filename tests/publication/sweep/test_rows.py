from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made import write_run

from ktlight.publication.sweep.collection import collect
from ktlight.publication.sweep.rates import NO_RATES
from ktlight.publication.sweep.rows import COLUMNS
from ktlight.publication.sweep.statistics import difference_table, missing_table, pair_table, success_table
from tests.publication.grid import control, guarded, results, table, write_grid


def test_every_column_is_there_whatever_the_runs_lack(tmp_path: Path) -> None:
    write_run(tmp_path / "run", results("kl", "c", "b", 0, 2.0))
    runs = table(tmp_path)
    assert list(runs.columns) == list(COLUMNS) and runs[list(NO_RATES)].isna().all().all()


def test_a_guarded_run_is_two_measurements(tmp_path: Path) -> None:
    run = guarded("kl_dp", "c", "b", 0, 2.0, -1.0, share=0.3)
    write_run(tmp_path / "run", run, "guard=wise", "guard.steps=5")
    without, kept = table(tmp_path).to_dict("records")
    assert (without["method"], kept["method"]) == ("kl_dp", "kl_dp guard=wise")
    assert (without["guard"], kept["guard"]) == ("off", "wise") and kept["guard_share"] == 0.3
    assert without["delta"] == -1 and without["acc_after"] == 69 and (without["low"], without["high"]) == (-2, 0)
    assert without["gain"] - without["loss"] == -1 and pd.isna(without["weights_after"])
    assert kept["delta"] == 2 and kept["acc_after"] == 72


def test_rates_of_a_guarded_run_come_from_the_predictions_of_each(tmp_path: Path) -> None:
    run = guarded("kl_dp", "c", "b", 0, 25.0, 50.0, share=0.5)
    folder = write_run(tmp_path / "run", run, "guard=wise")
    said = {"label": [0, 0, 1, 1], "before": [1, 1, 1, 0], "teacher": [0, 0, 0, 1], "after": [0, 1, 1, 0],
            "unguarded": [0, 1, 1, 1]}  # fmt: skip
    pq.write_table(pa.table(said), folder / "predictions.parquet")
    without, kept = table(tmp_path).to_dict("records")
    assert without["sample_rate_top100"] == pytest.approx(200 / 3) == without["transfer_rate"]
    assert kept["sample_rate_top100"] == pytest.approx(100 / 3)
    assert kept["top50_classes"] == 1


def test_the_same_training_with_and_without_a_guard_counts_once(tmp_path: Path) -> None:
    write_run(tmp_path / "off", results("kl_dp", "c", "b", 0, -1.0))
    write_run(tmp_path / "wise", guarded("kl_dp", "c", "b", 0, 2.0, -1.0, share=0.3), "guard=wise")
    collection = collect([tmp_path])
    assert list(collection.runs["method"]) == ["kl_dp", "kl_dp guard=wise"]
    assert len(collection.trainings) == 1 and collection.repeated == 1
    assert collection.runs["folder"][0] == str(tmp_path / "off")


@pytest.mark.parametrize(
    ("said", "expected"), [({"has_teacher": False}, "none"), ({"has_teacher": True}, "c"), ({}, "c")]
)
def test_whether_a_teacher_has_a_say(said: dict[str, Any], expected: str, tmp_path: Path) -> None:
    """Runs of earlier versions do not say."""
    write_run(tmp_path / "run", results("any", "c", "b", 0, 1.0, **said), "teacher.checkpoint=c.pt")
    row = table(tmp_path).iloc[0]
    assert row["teacher"] == expected and row["teachers"] == (expected != "none")
    assert pd.isna(row["acc_teacher"]) == pd.isna(row["difference"]) == (expected == "none")
    assert pd.isna(row["options"]) == (expected == "none")


def test_controls_are_compared_with_every_pair_of_their_student(tmp_path: Path) -> None:
    pairs = {("b", "a"): [1.0], ("c", "a"): [2.0], ("a", "b"): [3.0], ("c", "b"): [-4.0]}
    write_grid(tmp_path / "taught", {"kl_dp": pairs})
    control(tmp_path, "self_distill", {("c", "a"): 0.5, ("a", "b"): -1.0})
    control(tmp_path, "label_smoothing", {("b", "a"): 0.25, ("c", "b"): 1.0})
    of_pairs = pair_table(table(tmp_path))
    differences = difference_table(of_pairs).set_index(["method", "other"])
    row = differences.loc[("kl_dp", "self_distill")]
    assert row["pairs"] == 4 and row["difference"] == np.mean([0.5, 1.5, 4.0, -3.0])
    back = differences.loc[("self_distill", "kl_dp")]
    assert back["difference"] == -row["difference"] and back["pairs"] == 4
    controls = differences.loc[("self_distill", "label_smoothing")]
    assert controls["pairs"] == 2 and controls["difference"] == np.mean([0.25, -2.0])
    success = success_table(of_pairs).set_index("method")
    assert success.loc["self_distill", ["pairs", "pairs_in_grid", "n", "median_success"]].tolist() == [2, 2, 2, 50]
    assert success.loc["kl_dp", ["pairs", "pairs_in_grid", "pairs_common"]].tolist() == [4, 4, 4]


def test_a_control_is_no_pair_of_the_teacher_that_its_folder_names(tmp_path: Path) -> None:
    write_grid(tmp_path / "taught", {"kl_dp": {("a", "b"): [3.0], ("c", "b"): [4.0]}})
    control(tmp_path, "self_distill", {("c", "b"): 0.5})
    control(tmp_path / "again", "self_distill", {("a", "b"): 0.5})  # the same training, whatever the teacher
    collection = collect([tmp_path])
    assert missing_table(collection.runs).empty and collection.repeated == 1
    assert set(collection.taught["teacher"]) == {"a", "c"} and len(collection.trainings) == 3
