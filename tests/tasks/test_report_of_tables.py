"""A report of the table of runs that an earlier report wrote."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Command, run_here

RUNS = {
    "guarded": ["method=kl_dp", "guard=wise", "guard.steps=2"],
    "control": ["method=self_distill"],
    "smoothing": ["method=label_smoothing", "guard=rollback"],
    "peers": ["method=kdcl"],
    "router": ["method=kl_dp", "router=soft"],
    "untaught": ["method=xe_kl", "router=student"],
    "head": ["method=kl_dp", "transfer.part=head", "data.holdout=0.2"],
    "sequential": ["method=kl_dp", "schedule=sequential", "teachers=[test_convnext,test_vit]"],
    "parallel": ["method=kl_dp", "teachers=[test_convnext,test_vit]"],
    "ensemble": ["method=ensemble"],
}


@pytest.fixture(scope="module")
def runs(zoo: dict[str, Path], cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One real run of each kind, of one epoch on the digits."""
    root = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KTLIGHT_CACHE", str(cache))
        for name, options in RUNS.items():
            assert run_here(*options, "trainer.max_epochs=1", f"hydra.run.dir={root}/{name}") == 0
    return root


def tables(report: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in sorted((report / "tables").iterdir())}


def rows(report: Path, table: str) -> list[dict[str, str]]:
    with (report / "tables" / f"{table}.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def reported(folder: Path) -> dict[str, Any]:
    saved: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return {name: value for name, value in saved.items() if name not in ("runs", "seconds", "other_runs")}


@pytest.fixture
def report(runs: Path, command: Command) -> Callable[..., Path]:
    def make(name: str, *patterns: str) -> Path:
        ended = command("task=report", f"runs=[{','.join(patterns)}]", f"hydra.run.dir={name}")
        assert ended.code == 0, ended.err
        return Path(name)

    return make


def test_a_report_of_its_own_table_is_the_same(report: Callable[..., Path], runs: Path, tmp_path: Path) -> None:
    first = report("first", f"{runs}/**")
    second = report("second", "first/tables/runs.csv")
    assert tables(first) == tables(second)
    assert reported(first) == reported(second)
    both = report("both", f"{runs}/**", "first/tables/*.csv")
    assert {name: text for name, text in tables(both).items() if not name.startswith("left_out")} == tables(first)
    assert reported(both)["repeated"] == len(RUNS) and reported(both)["transfers"] == len(RUNS)
    reasons = {Path(row["folder"]).name: row["reason"] for row in rows(both, "left_out")}
    assert "runs.csv" not in reasons and "it is no table of runs" in reasons["pairs.csv"]
    page = (second / "report.html").read_text()
    assert "first/tables/runs.csv" in page


def test_what_the_runs_are(report: Callable[..., Path], runs: Path) -> None:
    found = rows(report("report", f"{runs}/**"), "runs")
    methods = {(row["method"], Path(row["folder"]).name) for row in found}
    assert methods == {
        ("kl_dp", "guarded"), ("kl_dp guard=wise", "guarded"), ("self_distill", "control"),
        ("label_smoothing", "smoothing"), ("label_smoothing guard=rollback", "smoothing"), ("kdcl", "peers"),
        ("kl_dp router=soft", "router"), ("xe_kl router=student", "untaught"), ("kl_dp part=head", "head"),
        ("kl_dp schedule=sequential", "sequential"), ("kl_dp schedule=parallel", "parallel"), ("ensemble", "ensemble"),
    }  # fmt: skip
    assert {row["method"] for row in found if row["teacher"] == "none"} == {
        "self_distill", "label_smoothing", "label_smoothing guard=rollback", "xe_kl router=student",
    }  # fmt: skip
    without, guarded = (row for row in found if Path(row["folder"]).name == "guarded")
    results = json.loads((runs / "guarded" / "results.json").read_text())
    assert float(without["delta"]) == results["unguarded_transfer_delta"] and without["guard"] == "off"
    assert float(guarded["delta"]) == results["transfer_delta"] and guarded["guard"] == "wise"
    assert float(guarded["guard_share"]) == results["guard"]["share"] and without["guard_share"] == ""
