from pathlib import Path
from typing import Any

import pytest

from ktlight.report.table import print_transfer

RESULTS: dict[str, Any] = {
    "method": "kl_dp", "teacher": "vit_b", "student": "resnet50", "data": "digits", "seed": 3,
    "epochs": 6, "num_eval": 1437,
    "acc_before": 71.234, "acc_teacher": 82.345, "acc_ensemble": 83.456, "acc_ensemble_mean": 84.567,
    "acc_after": 74.567,
    "transfer_delta": 3.333, "transfer_delta_ci95": [1.111, 5.555], "knowledge_gain": 6.666, "knowledge_loss": 3.334,
    "complementary_knowledge": 14.789, "transfer_rate": 31.415, "teacher_share": 64.283,
}  # fmt: skip


def test_every_figure_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    print_transfer(RESULTS, Path("somewhere"), "python run.py what=next")
    shown = capsys.readouterr().out
    for figure in ("71.23", "82.34", "83.46", "84.57", "74.57", "+3.33", "+1.11 to +5.55", "6.67", "3.33", "14.79",
                   "31.41", "64.28", "1437", "somewhere", "what=next"):  # fmt: skip
        assert figure in shown, figure
    assert "kl_dp: vit_b -> resnet50 on digits" in shown
    assert "within noise" not in shown
    assert "own delta" not in shown and "without the guard" not in shown


@pytest.mark.parametrize("interval", [[-1.0, 5.0], [-5.0, 0.0], [0.0, 5.0]])
def test_an_interval_around_zero_is_within_noise(interval: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    print_transfer({**RESULTS, "transfer_delta_ci95": interval}, Path(), "")
    assert "within noise" in capsys.readouterr().out


def test_what_does_not_exist_is_a_dash(capsys: pytest.CaptureFixture[str]) -> None:
    print_transfer({**RESULTS, "transfer_rate": None, "teacher_share": None}, Path(), "")
    lines = capsys.readouterr().out.splitlines()
    for name in ("transfer rate", "taught by teachers"):
        (line,) = (line for line in lines if name in line)
        assert " - " in line


def test_a_teacher_that_learned_has_its_delta(capsys: pytest.CaptureFixture[str]) -> None:
    print_transfer(
        {**RESULTS, "teacher_transfer_delta": -0.567, "teacher_transfer_delta_ci95": [-1.0, -0.123]}, Path(), ""
    )
    shown = capsys.readouterr().out
    assert "-0.57" in shown and "-1.00 to -0.12" in shown


def test_every_teacher_stage_and_the_guard_have_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    interval = {"transfer_delta_ci95": [-1.0, 2.0]}
    several = {
        "teacher": "vit_b+resnet18", "teachers": [{}, {}],
        "teacher2_transfer_delta": 0.321, "teacher2_transfer_delta_ci95": [0.1, 0.5],
        "stages": [{"teacher": "vit_b", "transfer_delta": 1.234, **interval},
                   {"teacher": "resnet18", "transfer_delta": -2.345, **interval}],
        "guard": {"share": 0.4}, "unguarded_transfer_delta": -3.456, "unguarded_transfer_delta_ci95": [-4.0, -3.0],
    }  # fmt: skip
    print_transfer({**RESULTS, **several}, Path(), "python run.py 'teachers=[a,b]'")
    rows = {line.split("│")[1].strip(): line for line in capsys.readouterr().out.splitlines() if line.startswith("│")}
    assert "+0.32" in rows["resnet18's own delta"] and "vit_b's own delta" not in rows
    assert "+1.23" in rows["stage 1: vit_b"] and "-2.35" in rows["stage 2: resnet18"]
    assert "-3.46" in rows["delta without the guard"] and "40% of the way" in rows["delta without the guard"]
    print_transfer({**RESULTS, **several, "average": {}}, Path(), "python run.py 'teachers=[a,b]'")
    shown = capsys.readouterr().out
    assert "vit_b alone" in shown and "stage 1" not in shown
    assert "python run.py 'teachers=[a,b]'" in shown  # brackets are no markup
