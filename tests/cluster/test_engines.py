"""The same sweep on every engine, equal to the local one bit for bit, also after what goes wrong on clusters."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster.conftest import Facts, Sweep, facts
from tests.conftest import REPOSITORY, quick

Make = Callable[..., Sweep]
LONG = ("seed=0", "method=kl,kl_dp", "trainer.max_epochs=40", "trainer.checkpoint_every_seconds=0")
"""Two jobs that are still busy when something happens to them."""


def test_joblib(sweep: Make, expected: Facts) -> None:
    there = sweep("launcher=joblib", "launcher.jobs=2")
    there.run()
    assert facts(there.folder) == expected


@pytest.mark.usefixtures("on_slurm")
def test_slurm(sweep: Make, expected: Facts) -> None:
    there = sweep("launcher=slurm")
    there.run()
    assert facts(there.folder) == expected


@pytest.mark.usefixtures("needs_ray")
def test_ray(sweep: Make, expected: Facts, tmp_path: Path) -> None:
    there = sweep("launcher=ray", **ray_here(tmp_path))
    there.run()
    assert facts(there.folder) == expected


@pytest.fixture(scope="session")
def undisturbed(zoo: dict[str, Path], cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Facts:
    """What the long jobs find if nothing happens."""
    folder = tmp_path_factory.mktemp("undisturbed") / "sweep"
    sweep = Sweep(folder, (*LONG, "pretrain.seed=0", "launcher.cpus_per_job=1"), {"KTLIGHT_CACHE": str(cache)})
    sweep.run()
    return facts(folder)


@pytest.mark.usefixtures("on_slurm")
@pytest.mark.parametrize("what", ["preempted", "requeued"])
def test_a_job_is_put_back_into_the_queue(what: str, sweep: Make, undisturbed: Facts) -> None:
    """It goes on from its last whole epoch, and the sweep waits for it as if nothing had happened."""
    there = sweep("launcher=slurm", *LONG)
    process = there.start()
    begun = there.await_checkpoint(process)
    job = running()[0]
    command = {"preempted": ["scancel", "--signal=USR2", job], "requeued": ["scontrol", "requeue", job]}[what]
    subprocess.run(command, check=True)
    printed, _ = process.communicate(timeout=240)
    assert process.returncode == 0, printed
    assert facts(there.folder) == undisturbed
    assert any("Continuing after epoch" in log.read_text() for log in there.folder.glob("*/run.log")), begun


@pytest.mark.usefixtures("on_slurm")
def test_a_job_is_cancelled(sweep: Make, undisturbed: Facts) -> None:
    """The others' results stay, and the same command goes on."""
    there = sweep("launcher=slurm", *LONG)
    process = there.start()
    there.await_checkpoint(process)
    subprocess.run(["scancel", running()[0]], check=True)
    printed, _ = process.communicate(timeout=240)
    assert process.returncode != 0, printed
    assert len(facts(there.folder)) == 1
    there.run("resume=true")
    assert facts(there.folder) == undisturbed


@pytest.mark.usefixtures("needs_ray")
def test_a_worker_of_ray_is_killed(sweep: Make, undisturbed: Facts, tmp_path: Path) -> None:
    there = sweep("launcher=ray", *LONG, **ray_here(tmp_path))
    process = there.start()
    begun = there.await_checkpoint(process)
    holder = subprocess.check_output(["pgrep", "-f", "^ray::_run_job"], text=True).split()[0]
    subprocess.run(["kill", "-9", holder], check=True)
    printed, _ = process.communicate(timeout=240)
    assert process.returncode == 0, printed
    assert facts(there.folder) == undisturbed
    assert any("Continuing after epoch" in log.read_text() for log in there.folder.glob("*/run.log")), begun


@pytest.mark.usefixtures("on_slurm")
def test_several_processes_a_job(zoo: dict[str, Path], sweep: Make, tmp_path: Path) -> None:
    """Slurm starts a process for each device; what they find is what two processes find that Lightning starts."""
    there = sweep("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "method=kl", "seed=0")
    there.run("launcher=slurm")
    options = [option for option in quick(*there.options) if not option.endswith(",3")]
    alone = [sys.executable, str(REPOSITORY / "run.py"), *options, f"hydra.run.dir={tmp_path}/alone/run"]
    subprocess.run(alone, cwd=tmp_path, check=True, timeout=240)
    assert list(facts(there.folder).values()) == list(facts(tmp_path / "alone").values())


def running() -> list[str]:
    """Return the numbers of the running jobs."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        listed = subprocess.check_output(["squeue", "--noheader", "--states=RUNNING", "--format=%i"], text=True).split()
        if listed:
            return listed
    raise AssertionError("no job is running")


def ray_here(folder: Path) -> dict[str, str]:
    """Return the variables for a Ray that leaves nothing outside of a folder."""
    return {"RAY_TMPDIR": str(folder), "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
