"""What is run, in which order and how often, with a launcher that only writes into folders."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from ktlight.report.failure import write_failure
from ktlight.report.plan import Job
from ktlight.report.state import State
from ktlight.sweeps.carry_out import Rules, Stopped, carry_out
from ktlight.sweeps.standing import standing

RESUME = Rules(resume=True, stop_after=3, restart=True)
Does = Callable[[Path, int], None]


def finish(folder: Path, attempt: int) -> None:
    (folder / "results.json").write_text("{}")


def fails(kind: str, times: int = 99) -> Does:
    def do(folder: Path, attempt: int) -> None:
        if attempt > times:
            return finish(folder, attempt)
        write_failure(folder, kind, f"{kind} it was")

    return do


class Launcher:
    """Does with each job what is said of it, and notes who was launched together."""

    def __init__(self, folder: Path, does: Mapping[str, Does], kills: Mapping[int, str] | None = None) -> None:
        self.folder, self.does, self.kills = folder, does, dict(kills or {})
        self.launched: list[list[str]] = []
        self.attempts: dict[str, int] = {}

    def __call__(self, jobs: Sequence[Job]) -> Exception | None:
        self.launched.append([job.folder for job in jobs])
        killed = self.kills.get(len(self.launched))
        for job in jobs:
            own = self.folder / job.folder
            own.mkdir(exist_ok=True)
            if job.folder == killed:
                (own / "config.yaml").write_text("")
                return RuntimeError("a worker was killed")
            self.attempts[job.folder] = self.attempts.get(job.folder, 0) + 1
            self.does.get(job.folder, finish)(own, self.attempts[job.folder])
        return None


def jobs(*names: str) -> list[Job]:
    return [Job(name, (f"name={name}",), name.startswith("prepare")) for name in names]


def states(folder: Path, names: Sequence[Job]) -> dict[str, State]:
    return {job.folder: standing(folder, job).state for job in names}


def test_done_runs_are_left_out_and_the_second_time_nothing_is_launched(tmp_path: Path) -> None:
    launcher, all_jobs = Launcher(tmp_path, {}), jobs(*"abcde")
    finish(tmp_path / "a", 1) if (tmp_path / "a").mkdir() is None else None
    carry_out(tmp_path, all_jobs, {}, launcher, RESUME)
    assert launcher.launched == [["b", "c", "d", "e"]]
    carry_out(tmp_path, all_jobs, {}, launcher, RESUME)
    assert len(launcher.launched) == 1


def test_without_resuming_everything_is_repeated(tmp_path: Path) -> None:
    launcher, all_jobs = Launcher(tmp_path, {}), jobs("a", "b")
    for _ in range(2):
        carry_out(tmp_path, all_jobs, {}, launcher, Rules(resume=False))
    assert launcher.launched == [["a", "b"]] * 2


def test_each_kind_of_failure_is_repeated_as_it_should_be(tmp_path: Path) -> None:
    does = {
        "user": fails("user"), "diverged": fails("not finite"), "defect": fails("unexpected"),
        "disk": fails("input/output", 1), "network": fails("input/output"),
        "large": fails("memory", 1), "huge": fails("memory"),
    }  # fmt: skip
    launcher, all_jobs = Launcher(tmp_path, does), jobs("fine", *does)
    carry_out(tmp_path, all_jobs, {}, launcher, RESUME)
    assert launcher.attempts == {
        "fine": 1, "user": 1, "diverged": 1, "defect": 1, "disk": 2, "network": 3, "large": 2, "huge": 2,
    }  # fmt: skip
    assert launcher.launched[-2:] == [["large"], ["huge"]]
    found = states(tmp_path, all_jobs)
    assert {name for name, state in found.items() if state == State.DONE} == {"fine", "disk", "large"}
    carry_out(tmp_path, all_jobs, {}, launcher, RESUME)
    assert sum(launcher.attempts.values()) == 14 and launcher.attempts["network"] == 4  # there may be room now
    carry_out(tmp_path, all_jobs, {}, launcher, RESUME._replace(retry=True))
    assert launcher.attempts["user"] == 2 and launcher.attempts["fine"] == 1


def test_the_rest_is_not_started_if_the_first_fail_alike(tmp_path: Path) -> None:
    names = [f"job{number}" for number in range(8)]
    launcher = Launcher(tmp_path, {name: fails("user") for name in names})
    with pytest.raises(Stopped, match="other 5 were not started"):
        carry_out(tmp_path, jobs(*names), {}, launcher, RESUME)
    assert launcher.launched == [names[:3]]
    mixed = Launcher(tmp_path / "mixed", {"job0": fails("user"), "job1": fails("unexpected")})
    (tmp_path / "mixed").mkdir()
    carry_out(tmp_path / "mixed", jobs(*names), {}, mixed, RESUME)
    assert mixed.launched == [names[:3], names[3:]]


def test_models_come_first_and_only_those_that_are_needed(tmp_path: Path) -> None:
    all_jobs = jobs("prepare-x", "prepare-y", "a", "b", "c")
    needs = {"a": ["prepare-x"], "b": ["prepare-x", "prepare-y"], "c": []}
    launcher = Launcher(tmp_path, {"prepare-y": fails("user")})
    (tmp_path / "a").mkdir()
    finish(tmp_path / "a", 1)
    carry_out(tmp_path, all_jobs, needs, launcher, RESUME)
    assert launcher.launched == [["prepare-x", "prepare-y"], ["c"]]
    carry_out(tmp_path, all_jobs, needs, launcher, RESUME)
    assert len(launcher.launched) == 2, "what could not be prepared is asked for with sweep.retry=failed"


def test_a_lost_job_costs_no_other_job_its_result(tmp_path: Path) -> None:
    launcher, all_jobs = Launcher(tmp_path, {}, kills={1: "b", 3: "b"}), jobs(*"abcd")
    carry_out(tmp_path, all_jobs, {}, launcher, RESUME._replace(stop_after=None))
    assert launcher.launched == [["a", "b", "c", "d"], ["c", "d"], ["b"]]
    assert states(tmp_path, all_jobs)["b"] == State.INTERRUPTED and launcher.attempts == {"a": 1, "c": 1, "d": 1}
    carry_out(tmp_path, all_jobs, {}, launcher, RESUME)
    assert set(states(tmp_path, all_jobs).values()) == {State.DONE}


def test_a_launcher_that_starts_nothing_says_so(tmp_path: Path) -> None:
    with pytest.raises(Stopped, match="could not start any job: ValueError: no such partition"):
        carry_out(tmp_path, jobs("a"), {}, lambda _: ValueError("no such partition"), RESUME)
