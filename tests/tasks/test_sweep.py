import csv
import json
from pathlib import Path

import pytest
from conftest import Command


def test_a_sweep_ends_with_the_table_of_its_transfers(
    zoo: dict[str, Path], command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    ended = command("-m", "method=kl,kl_dp", "trainer.max_epochs=1,2", "hydra.sweep.dir=sweep")
    assert ended.code == 0, ended.err
    folders = [file.parent for file in (tmp_path / "sweep").glob("*/results.json")]
    results = [json.loads((folder / "results.json").read_text()) for folder in folders]
    with (tmp_path / "sweep" / "comparison.csv").open(newline="") as file:
        rows = {(row["method"], row["option trainer.max_epochs"]): row for row in csv.DictReader(file)}
    assert rows.keys() == {(method, epochs) for method in ("kl", "kl_dp") for epochs in ("1", "2")}
    lines = ended.out[ended.out.index("4 transfers") :].splitlines()
    for run in results:
        assert float(rows[run["method"], str(run["epochs"])]["transfer_delta"]) == run["transfer_delta"]
        (line,) = (line for line in lines if line.split()[:2] == [run["method"], str(run["epochs"])])
        assert f"{run['transfer_delta']:+.2f}" in line and f"{run['acc_after']:.2f}" in line
    best = max(zip(results, folders, strict=True), key=lambda run: run[0]["transfer_delta"])[1]
    assert any(line.strip() == str(best.relative_to(tmp_path)) for line in lines)
    assert "page     sweep/report.html" in lines
    page = (tmp_path / "sweep" / "report.html").read_text()
    assert "4 transfers on digits" in page and len(page) < 700_000
    table = lines[: next(number for number, line in enumerate(lines) if line.startswith("success"))]
    assert all(len(line) <= 80 for line in table)


def test_a_page_that_cannot_be_written_loses_nothing(
    zoo: dict[str, Path], command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: object) -> None:
        raise ValueError("no page today")

    monkeypatch.setattr("ktlight.publication.run.page.write_page", fail)
    monkeypatch.setattr("ktlight.publication.sweep.publish.write_page", fail)
    ended = command("-m", "method=kl", "trainer.max_epochs=1", "hydra.sweep.dir=sweep")
    assert ended.code == 0 and ended.out.count("no page today") == 2 and "Traceback" not in ended.out
    assert (tmp_path / "sweep" / "comparison.csv").exists() and "page  " not in ended.out
    assert len(list((tmp_path / "sweep").glob("*/results.json"))) == 1


def test_broken_results_do_not_hide_the_others(zoo: dict[str, Path], command: Command, tmp_path: Path) -> None:
    (tmp_path / "sweep" / "mine").mkdir(parents=True)
    (tmp_path / "sweep" / "mine" / "results.json").write_text("{")
    ended = command("-m", "method=kl_dp", "trainer.max_epochs=1", "hydra.sweep.dir=sweep")
    assert ended.code == 0 and "1 transfer," in ended.out
    assert "left out" in ended.err and "no JSON" in ended.err


def test_a_sweep_with_a_job_that_fails_ends_in_an_error(zoo: dict[str, Path], command: Command, tmp_path: Path) -> None:
    ended = command("-m", "method=kl", "router=none,teacher", "trainer.max_epochs=1", "hydra.sweep.dir=sweep")
    assert ended.code == 1
    assert "router=" in ended.err and "Traceback" not in ended.err
    assert len(list((tmp_path / "sweep").glob("*/results.json"))) == 1
    assert "1 transfer," in ended.out
