from pathlib import Path

import pytest
from made import facts, transfer_results

from ktlight.report.table import preprocessing, print_evaluate, print_transfer

RESULTS = transfer_results()


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
        "teacher": "vit_b+resnet18", "teachers": [{"acc": 50.0}, {"acc": 60.0}],
        "models": {"student": facts("resnet50"), "teacher1": facts("vit_b"), "teacher2": facts("resnet18")},
        "teacher2_transfer_delta": 0.321, "teacher2_transfer_delta_ci95": [0.1, 0.5],
        "stages": [{"teacher": "vit_b", "transfer_delta": 1.234, **interval},
                   {"teacher": "resnet18", "transfer_delta": -2.345, **interval}],
        "guard": {"share": 0.4}, "unguarded_transfer_delta": -3.456, "unguarded_transfer_delta_ci95": [-4.0, -3.0],
    }  # fmt: skip
    print_transfer({**RESULTS, **several}, Path(), "python run.py 'teachers=[a,b]'")
    shown = capsys.readouterr().out
    rows = {line[:26].strip(): line for line in shown.splitlines()}
    assert "+0.32" in rows["resnet18's own delta"] and "vit_b's own delta" not in rows
    assert "+1.23" in rows["stage 1: vit_b"] and "-2.35" in rows["stage 2: resnet18"]
    assert "-3.46" in rows["delta without the guard"] and "40% of the way" in shown
    print_transfer({**RESULTS, **several, "average": {}}, Path(), "python run.py 'teachers=[a,b]'")
    shown = capsys.readouterr().out
    assert "vit_b alone" in shown and "stage 1" not in shown
    assert "python run.py 'teachers=[a,b]'" in shown  # brackets are no markup


@pytest.mark.parametrize("width", [60, 80, 180])
def test_the_table_fits_and_says_all(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    longest = "tf_efficientnet_lite0.in1k"
    learned = {"teacher_transfer_delta": -10.567, "teacher_transfer_delta_ci95": [-11.0, -10.123]}
    results = RESULTS | {"teacher": longest, "transfer_delta_ci95": [-10.1, 10.5]} | learned
    print_transfer(results, Path("somewhere"), "python run.py")
    lines = capsys.readouterr().out.splitlines()
    table = lines[1 : next(number for number, line in enumerate(lines) if line.startswith("folder"))]
    assert all(len(line) <= width for line in table)
    assert "".join("".join(table).split()).count("…") == 0
    for figure in ("71.23", "+3.33", "-10.57"):
        assert any(figure in line for line in table)
    ends = {
        line.index(figure) + 5 for line in table for figure in ("71.23", "82.34", "74.57", "64.28") if figure in line
    }
    assert len(ends) == 1  # numbers align


def test_a_teacher_that_stays_better_is_named_with_its_size(capsys: pytest.CaptureFixture[str]) -> None:
    print_transfer(RESULTS, Path(), "")
    assert "the teacher is better, and has 0.7 times the" in capsys.readouterr().out
    print_transfer({**RESULTS, "acc_after": 82.345}, Path(), "")
    assert "the teacher is better" not in capsys.readouterr().out


def test_an_evaluation_says_how_the_images_were_prepared(capsys: pytest.CaptureFixture[str]) -> None:
    results = {"student": "mine", "data": "photos", "acc": 48.4, "num_eval": 500}
    print_evaluate({**results, "models": {"student": facts("mine")}}, Path("[runs]"))
    shown = capsys.readouterr().out
    assert "48.40% of 500" in shown and "[runs]" in shown
    assert "32 x 32, crop 0.875 center, bicubic, mean 0.485 0.456 0.406, std 0.229 0.224 0.225" in shown
    assert all(len(line) <= 100 for line in shown.splitlines())


def test_images_that_the_data_prepare() -> None:
    assert preprocessing(facts("mine") | {"input_size": None}) == "as the data give them"
