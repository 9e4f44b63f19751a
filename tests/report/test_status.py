import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from ktlight.report.failure import write_failure
from ktlight.report.plan import Job, read_plan, write_plan
from ktlight.report.state import State, state_of
from ktlight.report.status import standings


def done(folder: Path, **seconds: float) -> Path:
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps({"seconds": seconds}))
    return folder


def begun(folder: Path, ago: float = 0.0) -> Path:
    folder.mkdir(parents=True)
    file = folder / "environment.json"
    file.write_text("{}")
    os.utime(file, (time.time() - ago,) * 2)
    return folder


def failed(folder: Path, kind: str = "user", message: str = "no such model") -> Path:
    write_failure(folder, kind, message)
    return folder


def everything(folder: Path) -> dict[str, Any]:
    facts = {path: path.stat() for path in [folder, *folder.rglob("*")]}
    return {str(path): (fact.st_ino, fact.st_mode, fact.st_size, fact.st_mtime_ns) for path, fact in facts.items()}


def test_a_sweep_with_a_plan_in_every_state(tmp_path: Path) -> None:
    jobs = [Job(name, ()) for name in ("a", "b", "c", "d", "e", "f")]
    write_plan(tmp_path / "sweep", jobs, "local")
    done(tmp_path / "sweep" / "a", load=1.0, train=9.0)
    done(tmp_path / "sweep" / "b", load=2.0, train=18.0)
    failed(tmp_path / "sweep" / "c", "memory", "the memory is full")
    begun(tmp_path / "sweep" / "d", ago=5)
    begun(tmp_path / "sweep" / "e")
    done(tmp_path / "sweep" / "of-an-earlier-plan", load=1000.0)
    with FileLock(tmp_path / "sweep" / "d" / ".lock"):
        (found,) = standings([tmp_path])
    assert found.folder == tmp_path / "sweep" and found.planned
    expected = {State.DONE: 2, State.FAILED: 1, State.RUNNING: 1, State.INTERRUPTED: 1, State.ABSENT: 1}
    assert found.states == expected
    ((folder, failure),) = found.failures
    assert (folder.name, failure.kind, failure.message) == ("c", "memory", "the memory is full")
    assert found.used == 30
    assert found.left == pytest.approx(15 + 15 + 10, abs=1)  # a mean of 15 s; one has 5 s behind it; one at a time


def test_as_many_at_a_time_as_run_and_what_prepares_apart(tmp_path: Path) -> None:
    jobs = [Job("first", (), prepares=True), *(Job(name, ()) for name in ("a", "b", "c", "d"))]
    write_plan(tmp_path, jobs, "joblib")
    done(tmp_path / "first", load=100.0)
    done(tmp_path / "a", load=10.0)
    with FileLock(begun(tmp_path / "b") / ".lock"), FileLock(begun(tmp_path / "c") / ".lock"):
        (found,) = standings([tmp_path])
    assert found.states[State.RUNNING] == 2
    assert found.left == pytest.approx((10 + 10 + 10) / 2, abs=1)


def test_runs_without_a_plan_are_listed_by_sweep_or_folder(tmp_path: Path) -> None:
    done(tmp_path / "runs" / "transfer" / "one")
    done(tmp_path / "runs" / "transfer" / "one" / "pretrain-student")  # part of that run
    done(tmp_path / "runs" / "transfer" / "one" / "previous-1")
    begun(tmp_path / "runs" / "transfer" / "two")
    done(tmp_path / "runs" / "sweep" / "kl" / "seed0")
    done(tmp_path / "runs" / "sweep" / "dp")
    (tmp_path / "runs" / "sweep" / "multirun.yaml").touch()
    found = {str(each.folder.relative_to(tmp_path)): each for each in standings([tmp_path / "runs"])}
    assert {name: dict(each.states) for name, each in found.items()} == {
        "runs/sweep": {State.DONE: 2},
        "runs/transfer": {State.DONE: 1, State.INTERRUPTED: 1},
    }
    assert not any(each.planned for each in found.values())
    assert found["runs/sweep"].left == 0
    (alone,) = standings([tmp_path / "runs" / "transfer" / "one"])
    assert (alone.folder.name, dict(alone.states)) == ("transfer", {State.DONE: 1})


def test_damaged_files_are_told_of(tmp_path: Path) -> None:
    write_plan(tmp_path / "planned", [Job("a", ())], "local")
    (tmp_path / "planned" / "a").mkdir()
    for name, content in (("results.json", "[]"), ("failure.json", '{"kind": "worse", "message": 1}')):
        run = tmp_path / "sweep" / name.partition(".")[0]
        run.mkdir(parents=True)
        (run / name).write_text(content)
    (tmp_path / "sweep" / "plan.json").write_text("{")
    planned, sweep = standings([tmp_path])
    assert planned.states == {State.ABSENT: 1}
    assert sweep.states == {State.DONE: 1, State.FAILED: 1} and sweep.used == 0
    assert sweep.failures[0][1].message == "its failure.json cannot be read"


@pytest.mark.parametrize("folder", ["../other", "/", "a/../../other"])
def test_a_plan_leads_nowhere_else(folder: str, tmp_path: Path) -> None:
    write_plan(tmp_path / "sweep", [Job(folder, ())], "local")
    failed(tmp_path / "other", message="not to be seen")
    assert read_plan(tmp_path / "sweep") is None and not standings([tmp_path / "sweep"])


def test_looking_changes_nothing(tmp_path: Path) -> None:
    done(tmp_path / "a")
    begun(tmp_path / "b")
    failed(tmp_path / "c")
    with FileLock(tmp_path / "b" / ".lock"):
        before = everything(tmp_path)
        (found,) = standings([tmp_path])
        assert everything(tmp_path) == before
        assert found.states == {State.DONE: 1, State.RUNNING: 1, State.FAILED: 1}
    (tmp_path / "b" / ".lock").touch()  # what a killed process leaves
    before = everything(tmp_path)
    assert state_of(tmp_path / "b") == State.INTERRUPTED
    assert everything(tmp_path) == before
