"""What a launcher cannot start is refused before anything is, with what to do instead."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from ktlight.config import launcher as engines
from ktlight.config.launcher import missing_package, threads_of_job
from ktlight.config.location import config_directory
from ktlight.config.model_source import register_models
from ktlight.config.overrides import check_overrides
from ktlight.config.resolvers import register_resolvers
from ktlight.errors import UserError

DDP = ("trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu")


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    register_models()
    register_resolvers()
    yield


def hydras(*overrides: str) -> Any:
    """Return what Hydra's launcher is told."""
    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        config = compose("config", list(overrides), return_hydra_config=True)
    return OmegaConf.to_container(config.hydra.launcher, resolve=True)


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands of Slurm that succeed and do nothing."""
    for name in ("sbatch", "sinfo", "sacct"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")


@pytest.mark.parametrize(
    ("typed", "multirun", "parts"),
    [
        (["launcher=joblib"], False, ["launcher=joblib", "add -m"]),
        (["launcher=joblib,local"], True, ["one launcher"]),
        (["launcher=joblib", "launcher.jobs=1,2"], True, ["one launcher"]),
        (["hydra/launcher=joblib"], True, ["launcher=local, joblib, slurm or ray"]),
        (["launcher=joblib", "launcher.jobs=0"], True, ["launcher.jobs=0", "at least 1"]),
        (["launcher.jobs=2"], True, ["unknown option 'launcher.jobs'"]),
        (["launcher=joblib", "launcher.partition=gpu"], True, ["unknown option 'launcher.partition'"]),
        (DDP, True, ["trainer.devices=2", "launcher=slurm", "launcher=joblib"]),
        ([*DDP, "launcher=joblib"], True, ["trainer.devices=2", "launcher=slurm"]),
        (["trainer=ddp", "launcher=joblib"], True, ["trainer.devices=auto", "launcher=slurm", "not trainer=ddp"]),
        (["trainer.num_nodes=2"], True, ["launcher=slurm"]),
    ],
)
def test_refused(typed: list[str], multirun: bool, parts: list[str]) -> None:
    with pytest.raises(UserError) as refused:
        check_overrides(typed, multirun=multirun)
    message = str(refused.value)
    assert "\n" not in message and all(part in message for part in parts), message


@pytest.mark.parametrize(
    ("typed", "parts"),
    [
        (["trainer=ddp"], ["trainer.devices=auto", "trainer.devices=2"]),
        ([*DDP, "launcher.gpus_per_job=1"], ["launcher.gpus_per_job=1", "launcher.gpus_per_job=2"]),
        (["launcher.gpus_per_job=0.5"], ["launcher=ray"]),
        (["trainer.devices=1,2"], ["a sweep for each"]),
        (["hydra.launcher.tasks_per_node=4"], ["trainer.devices"]),
    ],
)
@pytest.mark.usefixtures("slurm")
def test_refused_by_slurm(typed: list[str], parts: list[str]) -> None:
    with pytest.raises(UserError) as refused:
        check_overrides(["launcher=slurm", *typed], multirun=True)
    assert all(part in str(refused.value) for part in parts), refused.value


def test_no_slurm_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="sbatch is not to be found here"):
        check_overrides(["launcher=slurm"], multirun=True)


@pytest.mark.usefixtures("slurm")
def test_slurm_does_not_answer(tmp_path: Path) -> None:
    (tmp_path / "sinfo").write_text("#!/bin/sh\necho 'sinfo: fatal: nobody home' >&2\nexit 1\n")
    with pytest.raises(UserError, match="nobody home"):
        check_overrides(["launcher=slurm"], multirun=True)


@pytest.mark.usefixtures("slurm")
def test_slurm_without_accounts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_overrides(["launcher=slurm"], multirun=True)
    assert not capsys.readouterr().err
    (tmp_path / "sacct").write_text("#!/bin/sh\nexit 1\n")
    check_overrides(["launcher=slurm"], multirun=True)
    assert "waited for without end" in capsys.readouterr().err


@pytest.mark.parametrize(("variable", "starter"), [("SLURM_STEP_NUM_TASKS", "srun"), ("WORLD_SIZE", "torchrun")])
def test_a_sweep_is_started_once(variable: str, starter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "4")
    check_overrides([])
    with pytest.raises(UserError, match=f"{starter} starts 4 processes"):
        check_overrides([], multirun=True)


def test_joblib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "cores", lambda: 8)
    assert hydras("launcher=joblib", "trainer=cpu")["n_jobs"] == 8
    assert hydras("launcher=joblib", "trainer=cpu", "launcher.cpus_per_job=3")["n_jobs"] == 2
    assert hydras("launcher=joblib", "launcher.jobs=5")["n_jobs"] == 5
    monkeypatch.setattr(engines, "gpus_here", lambda accelerator: 4)
    assert hydras("launcher=joblib")["n_jobs"] == 4
    config = OmegaConf.create({"launcher": {"name": "joblib", "jobs": None, "cpus_per_job": None}})
    assert threads_of_job(OmegaConf.merge(config, {"trainer": {"accelerator": "auto"}})) == 2  # type: ignore[arg-type]


def test_slurm() -> None:
    told = hydras(
        "launcher=slurm", "trainer=ddp", "trainer.devices=4", "trainer.num_nodes=2", "trainer.accelerator=gpu",
        "launcher.partition=large", "launcher.memory_gb=64", "launcher.minutes=30", "launcher.jobs=10",
    )  # fmt: skip
    asked = {"tasks_per_node": 4, "nodes": 2, "gpus_per_node": 4, "partition": "large", "mem_gb": 64}
    assert asked.items() <= told.items()
    assert told["timeout_min"] == 30 and told["array_parallelism"] == 10
    assert hydras("launcher=slurm")["gpus_per_node"] is None
    assert hydras("launcher=slurm", "launcher.gpus_per_job=1")["gpus_per_node"] == 1


def test_slurm_takes_no_longer_arrays() -> None:
    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        sizes = [
            compose("config", [f"launcher={name}"], return_hydra_config=True).hydra.sweeper.max_batch_size
            for name in ("slurm", "joblib")
        ]
    assert sizes == [1000, None]


def test_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("hydra_plugins.hydra_ray_launcher", reason="needs ktlight[ray]")
    monkeypatch.setattr(engines, "gpus_here", lambda accelerator: 2 * (accelerator != "cpu"))
    assert hydras("launcher=ray")["ray"]["remote"]["num_gpus"] == 1
    assert hydras("launcher=ray", "trainer=cpu")["ray"]["remote"]["num_gpus"] == 0
    shared = hydras("launcher=ray", "launcher.gpus_per_job=0.25", "launcher.memory_gb=2")["ray"]["remote"]
    assert shared["num_gpus"] == 0.25 and shared["memory"] == 2_000_000_000
    with pytest.raises(UserError, match="one GPU, or a part of one"):
        check_overrides(["launcher=ray", "launcher.gpus_per_job=2"], multirun=True)


def test_a_missing_package(tmp_path: Path) -> None:
    """As where the extra is not installed: Hydra's message becomes what to install."""
    with initialize_config_dir(str(config_directory()), version_base="1.3"), pytest.raises(Exception) as absent:
        compose("config", ["hydra/launcher=submitit_slurmy"])
    message = str(absent.value).replace("submitit_slurmy", "submitit_slurm")
    assert missing_package(message) == "launcher=slurm needs its package: pip install 'ktlight[slurm]'"
    assert missing_package("something else") is None


def test_starting_loads_no_engine() -> None:
    code = "import sys, ktlight.cli; print([name for name in ('torch', 'ray', 'submitit') if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
