import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY, Command
from made import write_run

from tests.publication.grid import DELTAS, results, write_grid


def test_a_report_of_runs(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    deltas = {method: dict(pairs) for method, pairs in DELTAS.items()}
    del deltas["kl"]["c", "a"]
    write_grid(tmp_path / "runs", deltas)
    (tmp_path / "runs" / "broken").mkdir()
    (tmp_path / "runs" / "broken" / "results.json").write_text("[")
    ended = command("task=report", "runs=runs/**", "hydra.run.dir=report")
    assert ended.code == 0, ended.err
    lines = ended.out.splitlines()
    assert all(len(line) <= 80 for line in lines) and "digits, 1437 samples: median success" in lines[0]
    assert next(line for line in lines if line.startswith("kl ")).split()[1:3] == ["75.00", "2"]
    assert any("3 of 4" in line for line in lines) and any("missing    2 runs" in line for line in lines)
    assert any("left out   runs/broken: its results.json is no JSON" in line for line in lines)
    assert "page       report/report.html" in lines
    assert any("claims, with 95% intervals" in line for line in lines) and any(
        "does not hold" in line for line in lines
    )
    with (tmp_path / "report" / "tables" / "success.csv").open(newline="") as file:
        reader = csv.DictReader(file)
        rows = {row["method"]: row for row in reader}
    assert list(reader.fieldnames or [])[:4] == ["method", "median_success", "mean_delta", "n"]
    assert float(rows["kl_dp"]["median_success"]) == 100 and rows["kl_dp"]["n"] == "2"
    for kind in ("success.md", "success.tex", "missing.csv", "left_out.csv", "runs.csv", "pairs.csv", "students.tex"):
        assert (tmp_path / "report" / "tables" / kind).exists()
    for name in ("success", "delta_against_difference", "delta_map", "gain_and_loss", "by_student"):
        assert (tmp_path / "report" / "figures" / f"{name}.svg").read_text().startswith("<svg")
        assert (tmp_path / "report" / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    html = (tmp_path / "report" / "report.html").read_text()
    assert "Incomplete: 2 of the runs" in html and len(html) < 1_000_000
    saved = json.loads((tmp_path / "report" / "results.json").read_text())
    assert saved["task"] == "report" and saved["transfers"] == 14 and saved["missing"] == 2
    assert {row["verdict"] for row in saved["claims"]} == {"holds", "does not hold", "not clear", "not measured"}


def test_a_report_is_set_aside_only_when_it_changes(command: Command, tmp_path: Path) -> None:
    write_grid(tmp_path / "runs", {"kl": {("a", "b"): [1.0]}})
    for _ in range(2):
        assert command("task=report", "runs=runs", "hydra.run.dir=report").code == 0
    assert not (tmp_path / "report" / "previous-1").exists()
    write_run(tmp_path / "runs" / "more", results("kl", "a", "b", 1, 1.0))
    assert command("task=report", "runs=runs", "hydra.run.dir=report").code == 0
    assert (tmp_path / "report" / "previous-1" / "report.html").exists()


def test_the_paper_alone_and_beside(command: Command, shared: Path, tmp_path: Path) -> None:
    file = shared / "data" / "paper_results" / "students_leaderboard.csv"
    if not file.exists():
        pytest.skip(f"needs the authors' results in {file}")
    ended = command("task=report", f"report.paper={file}", "hydra.run.dir=paper")
    assert ended.code == 0, ended.err
    success = {line.split()[0]: line.split()[1:] for line in ended.out.splitlines() if line.startswith(("kl", "xe"))}
    assert [success[name][0] for name in ("kl", "xe_kl", "xe_kl_mcl", "kl_dp", "kl_dp_unsup")] == [
        "32.50", "42.50", "85.00", "92.50", "82.50",
    ]  # fmt: skip
    assert success["kl_dp"][2] == "+0.317" and success["xe_kl_mcl"][1] == "17"
    write_grid(tmp_path / "runs")
    ended = command("task=report", "runs=runs", f"report.paper={file}", "hydra.run.dir=both")
    assert ended.code == 0, ended.err
    drawing = (tmp_path / "both" / "figures" / "success_paper.svg").read_text()
    assert "these runs" in drawing and "Roth et al." in drawing
    with (tmp_path / "both" / "tables" / "success.csv").open(newline="") as table:
        assert len(list(csv.DictReader(table))) == 9


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "'runs=runs/**'"),
        (["runs=nowhere/**"], "no such folder"),
        (["runs=empty"], "hold no finished transfer"),
        (["runs=newer"], "schema 99"),
        (["runs=[1]"], "must be folders"),
        (["report.paper=nowhere.csv"], "No such file"),
        (["run=runs"], "Did you mean runs"),
    ],
)
def test_what_cannot_be_reported(arguments: list[str], says: str, command: Command, tmp_path: Path) -> None:
    (tmp_path / "empty" / "unfinished").mkdir(parents=True)
    write_run(tmp_path / "newer" / "run", {"schema": 99})
    ended = command("task=report", *arguments)
    assert ended.code == 1 and says in ended.err and ended.err.count("\n") == 1, ended.err


def test_many_folders_with_some_corrupt(command: Command, tmp_path: Path) -> None:
    names = [f"{letter}{number}" for letter in "abc" for number in range(7)]
    count = 0
    for teacher in names:
        for student in names:
            for method in ("kl", "kl_dp", "xe_kl"):
                run = results(method, "c", "b", 0, (count % 7) - 3.0) | {"teacher": teacher, "student": student}
                folder = write_run(tmp_path / "runs" / str(count), run | {"weights_after": str(count)})
                if count % 100 == 7:
                    (folder / "results.json").write_text(json.dumps(run)[:90])
                count += 1
    ended = command("task=report", "runs=runs/**", "hydra.run.dir=report")
    assert ended.code == 0, ended.err
    saved = json.loads((tmp_path / "report" / "results.json").read_text())
    assert saved["transfers"] == count - len(saved["left_out"]) and len(saved["left_out"]) == count // 100 + 1
    assert "more (tables/left_out.csv)" in ended.out


def test_a_report_needs_no_torch(tmp_path: Path) -> None:
    write_grid(tmp_path / "runs", {"kl": {("a", "b"): [1.0]}})
    code = (
        "import sys; sys.argv = ['run.py', 'task=report', 'runs=runs']\n"
        "from ktlight.cli import main; main()\n"
        "assert not {'torch', 'lightning', 'timm'} & set(sys.modules), 'loaded'"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": ""},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
