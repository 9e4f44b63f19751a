import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made import transfer_results
from scipy import stats

from ktlight.report.comparison import print_comparison
from ktlight.report.spreadsheet import write_comparison

Show = Callable[..., list[str]]


def run(delta: float = 3.333, margin: float = 2.222, folder: str = "sweep/a", **changes: Any) -> dict[str, Any]:
    options = changes.pop("options", {})
    figures = {"transfer_delta": delta, "transfer_delta_ci95": [delta - margin, delta + margin]}
    return transfer_results(**figures, **changes) | {"options": options, "folder": folder}


def grid() -> list[dict[str, Any]]:
    """Return the runs of ``-m method=kl,kl_dp trainer.max_epochs=2,4``."""
    deltas = {("kl", 2): -0.5, ("kl", 4): -12.25, ("kl_dp", 2): 0.4, ("kl_dp", 4): 3.333}
    return [
        run(delta, 1.0, f"sweep/{method}-{epochs}", method=method, epochs=epochs, acc_after=71.234 + delta,
            options={"method": method, "trainer.max_epochs": str(epochs)})
        for (method, epochs), delta in deltas.items()
    ]  # fmt: skip


@pytest.fixture
def show(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Show:
    def printed(runs: list[dict[str, Any]], width: int = 180) -> list[str]:
        monkeypatch.setenv("COLUMNS", str(width))
        print_comparison(runs, Path("sweep"))
        return [line.rstrip() for line in capsys.readouterr().out.splitlines()]

    return printed


def table(lines: list[str]) -> list[list[str]]:
    """Return the cells of the table, the heading first; cells are set apart by two spaces."""
    rule = next(number for number, line in enumerate(lines) if line.startswith("───"))
    end = next(number for number, line in enumerate(lines) if line.startswith("success"))
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines[rule - 1 : end]]


@pytest.mark.parametrize("width", [80, 180])
def test_every_row_shows_what_it_is(width: int, show: Show) -> None:
    lines = show(grid(), width)
    heading, _, *rows = table(lines)
    assert heading[:2] == ["method", "max_epochs"]
    assert [row[:2] for row in rows] == [["kl_dp", "4"], ["kl_dp", "2"], ["kl", "2"], ["kl", "4"]]  # best first
    deltas = [row[heading.index("delta")] for row in rows]
    assert deltas == ["+3.33", "+0.40", "-0.50", "-12.25"]
    assert [row[-1] == "within noise" for row in rows] == [False, True, True, False]
    assert all(len(line) <= width for line in lines) and not any("…" in line for line in lines)
    assert ("taught by t." in heading) == (width == 180)


def test_what_is_the_same_for_all_stands_above(show: Show) -> None:
    lines = show(grid())
    heading = table(lines)[0]
    above = lines[0]
    for told in ("4 transfers", "teacher=vit_b", "seed=3", "1437", "before 71.23", "teacher 82.34", "by mean 84.57"):
        assert told in above
    assert "method=" not in above and not {"before", "teacher", "seed"} & set(heading)
    assert "before" in table(show([run(), run(-1, acc_before=60.0, options={"a": "1"})]))[0]


def test_the_best_is_named_with_its_folder_and_a_caution(show: Show) -> None:
    lines = show(grid())
    best = next(number for number, line in enumerate(lines) if line.startswith("best"))
    assert lines[best].split(maxsplit=1)[1] == "method=kl_dp max_epochs=4: +3.33 (+2.33 to +4.33)"
    assert lines[best + 1].strip() == "sweep/kl_dp-4"
    (note,) = (line for line in lines if line.startswith("note"))
    assert "best of 4" in note and "data.holdout=0.2 data.evaluate_on=holdout" in note
    assert "success  50% (2 of 4 deltas above 0)" in lines
    assert "data.evaluate_on=val" in "\n".join(show([each | {"evaluated_on": "holdout"} for each in grid()]))


def test_an_ensemble_is_no_success_and_never_the_best(show: Show) -> None:
    lines = show([*grid(), run(9.0, method="ensemble", epochs=0, options={"trainer.max_epochs": "2"})])
    assert "success  50% (2 of 4 deltas above 0)" in lines
    assert table(lines)[2][0] == "ensemble" and table(lines)[2][-1] == "no training"
    assert next(line for line in lines if line.startswith("best")).split()[1] == "method=kl_dp"
    alone = "\n".join(show([run(9.0, method="ensemble", epochs=0)]))
    assert "success" not in alone and "best" not in alone


@pytest.mark.parametrize("width", [80, 180])
def test_seeds_are_averaged(width: int, show: Show) -> None:
    deltas = {"kl": [1.0, 2.0, 6.0], "kl_dp": [4.0, 4.25, 4.5]}
    runs = [
        run(delta, 0.5, f"sweep/{method}-{seed}", method=method, seed=seed, knowledge_gain=delta)
        for method, each in deltas.items()
        for seed, delta in enumerate(each)
    ]
    lines = show(runs, width)
    heading, _, best, other = table(lines)
    low, high = stats.t.interval(0.95, 2, np.mean(deltas["kl_dp"]), stats.sem(deltas["kl_dp"]))
    assert heading[:2] == ["method", "seeds"] and best[:2] == ["kl_dp", "3"] and other[:2] == ["kl", "3"]
    assert best[heading.index("delta")] == "+4.25" and other[heading.index("delta")] == "+3.00"
    assert f"{low:+.2f} to {high:+.2f}" in best
    assert "within noise" in other and "within noise" not in best  # no run alone is, their spread is
    assert "+1.00 to +6.00" in " ".join(other).replace("  ", " ")
    assert any(line.startswith("best") and "+4.25 (+4.00 to +4.50 over 3 seeds)" in line for line in lines)
    assert [line.strip() for line in lines if line.strip().startswith("sweep/")] == [
        f"sweep/kl_dp-{seed}" for seed in range(3)
    ]


@pytest.mark.parametrize(("deltas", "noisy"), [((1.0, 4.0), False), ((-1.0, 4.0), True)])
def test_two_seeds_must_agree(deltas: tuple[float, float], noisy: bool, show: Show) -> None:
    lines = show([run(delta, 0.5, seed=seed) for seed, delta in enumerate(deltas)])
    assert ("within noise" in "\n".join(lines)) == noisy
    assert any(f"{deltas[0]:+.2f} to +4.00" in line for line in lines)


@pytest.mark.parametrize("width", [80, 180])
def test_long_values_and_many_options_stay_distinguishable(width: int, show: Show) -> None:
    path = "/somewhere/" + "x" * 90
    runs = [run(number, options={"student.checkpoint": f"{path}{number}"}) for number in range(2)]
    lines = show(runs, width)
    assert all(len(line) <= width for line in lines if "best" not in line and "folder" not in line)
    shown = "".join(line[:40].strip() for line in lines[lines.index(next(x for x in lines if x.startswith("─"))) + 1 :])
    assert f"{'x' * 5}0" in shown and f"{'x' * 5}1" in shown
    many = [run(n, options={f"group{k}.option_number_{k}": str(n) for k in range(8)}) for n in range(2)]
    lines = show(many, width)
    assert all(len(line) <= width for line in lines if not line.startswith("best"))
    for k in range(8):
        assert any(f"option_number_{k}" in line for line in lines)


def test_one_run_is_shown_without_a_contest(show: Show) -> None:
    lines = show([run()])
    assert lines[0].startswith("1 transfer,") and not any(line.startswith(("best", "note")) for line in lines)


def test_the_csv_has_every_figure(tmp_path: Path) -> None:
    worse = run(-0.5, method="kl", teacher_share=None, options={"optim.lr": "0.1"}, folder="sweep/b")
    write_comparison([run(3.333, 2.222), worse], tmp_path / "comparison.csv")
    with (tmp_path / "comparison.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert float(first["transfer_delta_ci95_low"]) == pytest.approx(1.111)
    assert float(first["acc_before"]) == 71.234 and first["top20_classes"] == "3 8"
    assert second["method"] == "kl" and second["teacher_share"] == "" and second["folder"] == "sweep/b"
    assert second["option optim.lr"] == "0.1" and first["option optim.lr"] == ""
