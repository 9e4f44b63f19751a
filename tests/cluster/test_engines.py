"""The same sweep on every engine, equal to the local one bit for bit, also after what goes wrong on clusters."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.cluster.conftest import EIGHT, LONG, PATIENCE, SAME, Facts, Sweep, facts
from tests.conftest import REPOSITORY, quick

Undisturbed = Callable[..., Facts]
PUT_BACK = {"preempted": ["scancel", "--signal=USR2"], "requeued": ["scontrol", "requeue"]}


@pytest.mark.parametrize("engine", ["joblib", "slurm", "ray"])
def test_eight_jobs(engine: str, tmp_path: Path, undisturbed: Undisturbed, request: pytest.FixtureRequest) -> None:
    if engine != "joblib":
        request.getfixturevalue(f"on_{engine}")
    sweep = Sweep(tmp_path / "sweep", EIGHT)
    sweep.run(f"launcher={engine}")
    assert facts(sweep.folder) == undisturbed(*EIGHT) and len(facts(sweep.folder)) == 8


def test_who_asks_the_sweep_to_leave_asks_the_processes_of_joblib_too(tmp_path: Path, undisturbed: Undisturbed) -> None:
    """They leave at the end of a step, not of the sweep; the same command goes on."""
    sweep = Sweep(tmp_path / "sweep", LONG)
    process = sweep.start("launcher=joblib")
    begun = sweep.await_checkpoint(process)
    process.terminate()  # this process alone
    printed, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 75 and not (begun / "results.json").exists(), printed
    sweep.run("launcher=joblib", "resume=true")
    assert facts(sweep.folder) == undisturbed(*LONG)
    assert "Continuing after epoch" in (begun / "run.log").read_text()


@pytest.mark.usefixtures("on_slurm")
@pytest.mark.parametrize("how", PUT_BACK)
def test_a_job_is_put_back_into_the_queue(how: str, tmp_path: Path, undisturbed: Undisturbed) -> None:
    """It goes on from its last whole epoch, and the sweep waits for it as if nothing had happened."""
    sweep = Sweep(tmp_path / "sweep", LONG)
    process = sweep.start("launcher=slurm")
    begun = sweep.await_checkpoint(process)
    subprocess.run([*PUT_BACK[how], job_of(begun)], check=True)
    ended(process)
    assert facts(sweep.folder) == undisturbed(*LONG)
    assert "Continuing after epoch" in (begun / "run.log").read_text()


@pytest.mark.usefixtures("on_slurm")
def test_a_job_is_cancelled(tmp_path: Path, undisturbed: Undisturbed) -> None:
    """The other's results stay, and the same command goes on."""
    sweep = Sweep(tmp_path / "sweep", LONG)
    process = sweep.start("launcher=slurm")
    begun = sweep.await_checkpoint(process)
    subprocess.run(["scancel", job_of(begun)], check=True)
    ended(process, well=False)
    assert len(facts(sweep.folder)) == 1
    sweep.run("launcher=slurm", "resume=true")
    assert facts(sweep.folder) == undisturbed(*LONG)
    assert "Continuing after epoch" in (begun / "run.log").read_text()


@pytest.mark.usefixtures("on_ray")
def test_a_worker_of_ray_is_killed(tmp_path: Path, undisturbed: Undisturbed) -> None:
    """Ray starts the job again, which goes on where it was."""
    sweep = Sweep(tmp_path / "sweep", LONG)
    process = sweep.start("launcher=ray")
    begun = sweep.await_checkpoint(process)
    workers = subprocess.check_output(["pgrep", "-f", "^ray::_run_job"], text=True).split()
    (holder,) = [worker for worker in workers if str(begun) in open_files(worker)]
    subprocess.run(["kill", "-9", holder], check=True)
    ended(process)
    assert facts(sweep.folder) == undisturbed(*LONG)
    assert "Continuing after epoch" in (begun / "run.log").read_text()


@pytest.mark.usefixtures("on_slurm", "zoo")
def test_several_processes_a_job(tmp_path: Path) -> None:
    """Slurm starts a process for each device; what they find is what two processes find that Lightning starts."""
    options = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.max_epochs=2")
    sweep = Sweep(tmp_path / "sweep", options)
    sweep.run("launcher=slurm")
    alone = [sys.executable, str(REPOSITORY / "run.py"), *quick(*options, *SAME), f"hydra.run.dir={tmp_path}/alone/run"]
    subprocess.run(alone, cwd=tmp_path, check=True, timeout=PATIENCE)
    assert list(facts(sweep.folder).values()) == list(facts(tmp_path / "alone").values())


def ended(process: "subprocess.Popen[str]", well: bool = True) -> None:
    """Wait for the end of a sweep."""
    printed, _ = process.communicate(timeout=PATIENCE)
    assert (process.returncode == 0) == well, printed


def job_of(folder: Path) -> str:
    """Return the number of Slurm's job that works in a folder."""
    record = yaml.safe_load((folder / ".hydra" / "hydra.yaml").read_text())
    return str(record["hydra"]["job"]["id"])


def open_files(process: str) -> str:
    """Return the paths of the files that a process has open."""
    return " ".join(str(file.readlink()) for file in Path(f"/proc/{process}/fd").iterdir() if file.is_symlink())
