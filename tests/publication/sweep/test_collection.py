from pathlib import Path

from made import transfer_results, write_run

from ktlight.publication.sweep.collection import collect
from ktlight.publication.sweep.publish import report_of, write_report
from ktlight.report.runs import read_runs
from ktlight.report.schema import KINDS
from tests.publication.grid import write_grid


def test_runs_of_all_kinds_are_told_apart(tmp_path: Path) -> None:
    write_grid(tmp_path / "sweep")
    write_run(tmp_path / "report", {**transfer_results(), "task": "report"})
    write_run(tmp_path / "zoo", {**transfer_results(), "task": "zoo"})
    facts = {key: [] for key in KINDS["discover"].__required_keys__}
    write_run(tmp_path / "discover", {**facts, **transfer_results(), "task": "discover"})
    write_run(tmp_path / "broken", {}).joinpath("results.json").write_text("{")
    collection = collect([tmp_path])
    assert len(collection.runs) == 16 and collection.repeated == 0 and collection.others["zoo"] == 1
    assert "report" not in collection.others
    reasons = {each.folder.name: each.reason for each in collection.left_out}
    assert reasons.keys() == {"broken", "discover"} and "no finished discovery" in reasons["discover"]
    assert collection.versions == ["19 runs: ktlight 0"]


def test_nothing_is_empty_everywhere(tmp_path: Path) -> None:
    collection = collect([tmp_path])
    for table in (
        collection.pairs,
        collection.students,
        collection.success,
        collection.differences,
        collection.missing,
    ):
        assert table.empty


def test_methods_without_training_alone_make_a_report(tmp_path: Path) -> None:
    collection = collect([write_grid(tmp_path, {"ensemble": {("a", "b"): [9.0]}}, epochs=0)])
    report = report_of(collection)
    assert not report.drawings and list(report.tables) == ["success", "runs"] and report.tables["success"].empty
    page = write_report(report, tmp_path / "report", "Ensembles")
    assert page.overview == ["1 run of methods without training are in the table of runs only."]
    assert (tmp_path / "report" / "report.html").exists()


def test_class_names_are_kept_once(tmp_path: Path) -> None:
    write_grid(tmp_path)
    first, second, *_ = read_runs([tmp_path])[0]
    assert first.results["class_names"] is second.results["class_names"]
