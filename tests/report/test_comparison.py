import csv
from pathlib import Path
from typing import Any

import pytest

from ktlight.report.comparison import print_comparison, write_comparison


def run(**changes: Any) -> dict[str, Any]:
    results = {
        "task": "transfer", "method": "kl_dp", "teacher": "vit_b", "student": "resnet50", "data": "digits", "seed": 3,
        "options": "", "epochs": 6, "num_eval": 1437,
        "acc_before": 71.234, "acc_teacher": 82.345, "acc_ensemble": 83.456,
        "acc_ensemble_mean": 84.567, "acc_after": 74.567, "transfer_delta": 3.333,
        "transfer_delta_ci95": [1.111, 5.555],
        "knowledge_gain": 6.666, "knowledge_loss": 3.334, "teacher_share": 64.283, "top20_classes": ["3", "8"],
    }  # fmt: skip
    return {**results, **changes}


WORSE = run(method="kl", transfer_delta=-0.5, transfer_delta_ci95=[-2.0, 1.0], teacher_share=None)


def test_a_sweep_is_a_row_a_run_and_what_varies_a_column(capsys: pytest.CaptureFixture[str]) -> None:
    print_comparison([run(), WORSE], Path("sweep"))
    title, *lines = capsys.readouterr().out.splitlines()
    assert "2 transfers" in title and "teacher=vit_b" in title and "1437" in title and "method=" not in title
    (first,) = (line for line in lines if "kl_dp" in line)
    (second,) = (line for line in lines if "-0.50" in line)
    for figure in ("71.23", "82.34", "83.46", "84.57", "74.57", "+3.33", "+1.11 to +5.55", "64.28"):
        assert figure in first
    assert "within noise" in second and "within noise" not in first
    assert "vit_b" not in first
    assert any("50% (1 of 2" in line for line in lines) and any("sweep" in line for line in lines)


def test_an_ensemble_is_no_success(capsys: pytest.CaptureFixture[str]) -> None:
    print_comparison([run(), WORSE, run(method="ensemble", epochs=0)], Path("sweep"))
    assert "50% (1 of 2 deltas above 0)" in capsys.readouterr().out


def test_the_csv_has_every_figure(tmp_path: Path) -> None:
    write_comparison([run(), WORSE], tmp_path / "comparison.csv")
    with (tmp_path / "comparison.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert float(first["transfer_delta_ci95_low"]) == 1.111 and float(first["transfer_delta_ci95_high"]) == 5.555
    assert float(first["acc_before"]) == 71.234 and first["top20_classes"] == "3 8"
    assert second["method"] == "kl" and second["teacher_share"] == ""
