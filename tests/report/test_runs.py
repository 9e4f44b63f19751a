import json
from pathlib import Path

import pytest
from made import transfer_results, write_run

from ktlight.errors import UserError
from ktlight.report.runs import folders_and_tables_of, folders_of, read_runs
from ktlight.report.schema import SCHEMA


def test_finished_runs_are_read_in_order_and_once(tmp_path: Path) -> None:
    for name in ("b", "a", "sweep/c"):
        write_run(tmp_path / name, transfer_results(student=name))
    (tmp_path / "unfinished").mkdir()
    runs, unreadable = read_runs([tmp_path / "sweep", tmp_path])
    assert [run.folder.relative_to(tmp_path).as_posix() for run in runs] == ["sweep/c", "a", "b"]
    assert [run.results["student"] for run in runs] == ["sweep/c", "a", "b"] and unreadable == []


def test_earlier_attempts_are_left_out_unless_asked_for(tmp_path: Path) -> None:
    write_run(tmp_path / "run" / "previous-1", transfer_results())
    assert read_runs([tmp_path]) == ([], [])
    assert len(read_runs([tmp_path / "run" / "previous-1"])[0]) == 1


def test_what_cannot_be_read_is_named_with_the_reason(tmp_path: Path) -> None:
    whole = transfer_results()
    without = {name: value for name, value in whole.items() if name != "transfer_delta"}
    contents = {
        "broken": ('{"schema": ', "no JSON"),
        "foreign": ('["mine"]', "holds no fields"),
        "newer": (json.dumps(whole | {"schema": SCHEMA + 1}), f"schema {SCHEMA + 1}"),
        "older": (json.dumps({"task": "transfer"}), "schema None"),
        "partial": (json.dumps(without), "lacks transfer_delta"),
    }
    for name, (text, _) in contents.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "results.json").write_text(text)
    (tmp_path / "odd" / "results.json").mkdir(parents=True)
    write_run(tmp_path / "good", whole)
    runs, unreadable = read_runs([tmp_path])
    assert [run.folder.name for run in runs] == ["good"]
    reasons = {run.folder.name: str(run) for run in unreadable}
    assert reasons.keys() == {*contents, "odd"}
    for name, (_, reason) in contents.items():
        assert reason in reasons[name] and str(tmp_path / name) in reasons[name]
    assert "cannot be read" in reasons["odd"]


def test_patterns_name_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("runs/a/b", "runs/c", "more/x1", "more/x2", "more/y"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "more" / "x3").write_text("no folder")
    monkeypatch.chdir(tmp_path)
    assert folders_of("runs/**") == [Path("runs")] == folders_of("runs") == folders_of(["runs/**", "runs/a"])
    assert folders_of(["more/x*", "runs/*"]) == [Path(name) for name in ("more/x1", "more/x2", "runs/a", "runs/c")]
    assert folders_of(str(tmp_path / "more" / "*")) == [tmp_path / "more" / name for name in ("x1", "x2", "y")]
    assert folders_of([]) == []
    for wrong in ("nowhere/**", "more/x3", "runs/z*"):
        with pytest.raises(UserError, match="no such folder"):
            folders_of(wrong)


def test_patterns_name_folders_and_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "report" / "tables").mkdir(parents=True)
    for name in ("report/tables/runs.csv", "report/tables/pairs.csv", "report/tables/runs.md"):
        (tmp_path / name).touch()
    (tmp_path / "runs" / "deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    tables = [Path("report/tables/pairs.csv"), Path("report/tables/runs.csv")]
    assert folders_and_tables_of(["runs/**", "report/tables/*.csv"]) == ([Path("runs")], tables)
    assert folders_and_tables_of(["report/tables/runs.csv", "report/tables/*"]) == ([], tables)
    assert folders_and_tables_of(["runs/**"]) == ([Path("runs")], [])
    with pytest.raises(UserError, match=r"no such file\. Give tables/runs.csv"):
        folders_and_tables_of(["report/tables/gone.csv"])
    for wrong in ("report/tables/*.md", "nowhere"):
        with pytest.raises(UserError, match="no such folder"):
            folders_and_tables_of(["runs", wrong])
