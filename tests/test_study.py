"""The tables over many transfers, recomputed by hand from made-up runs."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made import transfer_results, write_run
from scipy import stats

from bench.study import group_of, main, read_transfers, table
from ktlight.errors import UserError


def write(folder: Path, name: str, **changes: Any) -> None:
    results = {
        "method": "kl", "teacher": "a", "student": "b", "acc_teacher": 40.0, "acc_before": 30.0,
        "transfer_delta": 1.0, "knowledge_gain": 3.0, "knowledge_loss": 2.0,
    }  # fmt: skip
    write_run(folder / name, transfer_results(**{**results, **changes}))


def test_a_row_is_the_mean_over_pairs(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    for number, delta in enumerate((1.0, 2.0)):  # one pair, two seeds, stronger
        write(tmp_path, f"stronger{number}", transfer_delta=delta)
    write(tmp_path, "weaker", teacher="c", acc_teacher=20.0, transfer_delta=-4.0, knowledge_loss=7.0)
    write(tmp_path, "equal", teacher="d", acc_teacher=31.0, transfer_delta=0.4)
    write(tmp_path, "other", method="kl_dp", transfer_delta=5.0)
    write(tmp_path, "pretrained", task="pretrain", acc=50.0, weights="")
    write(tmp_path, "equal/previous-1", transfer_delta=99.0)
    write(tmp_path, "old", schema=0, transfer_delta=99.0)
    monkeypatch.setattr(sys, "argv", ["study", str(tmp_path)])
    main()
    printed = capsys.readouterr()
    assert "left out" in printed.err and str(tmp_path / "old") in printed.err
    heading, _, best, row = printed.out.splitlines()
    assert best.startswith("| kl_dp | 1 (1) | +5.00 |")
    cells = dict(
        zip((cell.strip() for cell in heading.split("|")), (cell.strip() for cell in row.split("|")), strict=True)
    )
    pairs = [1.5, -4.0, 0.4]
    low, high = stats.t.interval(0.95, 2, np.mean(pairs), stats.sem(pairs))
    assert cells["runs (pairs)"] == "4 (3)" and cells["mean delta"] == f"{np.mean(pairs):+.2f}"
    assert cells["95% interval"] == f"{low:+.2f} to {high:+.2f}"
    assert cells["success"] == "75%" and cells["gain"] == "3.00" and cells["loss"] == "3.25"
    assert (cells["weaker"], cells["about equal"], cells["stronger"]) == ("-4.00 (0/1)", "+0.40 (1/1)", "+1.50 (2/2)")


def test_rows_by_other_fields(tmp_path: Path) -> None:
    write(tmp_path, "one", guard={"share": 0.5})
    write(tmp_path, "two")
    text = table(read_transfers([tmp_path]), ["method", "guard"])
    assert "| kl | guarded |" in text and "| kl | off |" in text


@pytest.mark.parametrize(("teacher", "expected"), [(33.0, "about equal"), (33.1, "stronger"), (26.9, "weaker")])
def test_groups(teacher: float, expected: str) -> None:
    assert group_of({"acc_teacher": teacher, "acc_before": 30.0}) == expected


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no finished transfers"):
        read_transfers([tmp_path])
