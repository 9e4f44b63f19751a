"""A job works in a process that has nothing of ours but the job."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from ktlight.cli import run, run_pack
from ktlight.training.worker import Job, leave_allocation

ELSEWHERE = """
import os, pickle, sys
job = pickle.load(sys.stdin.buffer)
from omegaconf import OmegaConf
from hydra.core.plugins import Plugins
print(os.getcwd(), sys.argv[1:], os.environ["OMP_WAIT_POLICY"], OmegaConf.has_resolver("run_id"))
print(any(each.__name__ == "ModelSource" for each in Plugins.instance().discover()))
"""


def test_it_brings_what_a_config_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["run.py", "-m", "seed=0,1"])
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    command = [sys.executable, "-c", ELSEWHERE]
    job = pickle.dumps(Job(run, run_pack))
    printed = subprocess.check_output(command, input=job, cwd="/", env=environment).decode()
    assert printed == f"{tmp_path} ['-m', 'seed=0,1'] PASSIVE True\nTrue\n"


def test_no_rank_of_an_allocation(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(name)
    for name, value in {"SLURM_PROCID": "3", "SLURM_NTASKS": "4", "SLURM_CONF": "/etc/slurm.conf"}.items():
        monkeypatch.setenv(name, value)
    leave_allocation()
    assert [name for name in os.environ if name.startswith("SLURM_")] == ["SLURM_CONF"]
