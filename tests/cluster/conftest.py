"""A sweep of eight jobs, started as a user starts it, on whatever engine; and a Slurm for it."""

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.cluster.slurm import missing, slurm
from tests.conftest import REPOSITORY, figures, quick

MADE_OF = ("trainer.max_epochs=2", "pretrain.seed=0", "launcher.cpus_per_job=1")
SWEEP = ("method=kl,kl_dp", "seed=0,1,2,3")
"""Eight jobs of a few seconds; with a given number of threads, figures are the same to the last bit."""
PATIENCE = 240

Facts = dict[str, Any]


def facts(folder: Path) -> Facts:
    """Return all that the finished runs of a sweep found: figures, predictions, and the digest of the weights."""
    return {
        file.parent.name: (
            figures(file.parent),
            pq.read_table(file.parent / "predictions.parquet").to_pydict(),
            hashlib.sha256((file.parent / "student" / "model.safetensors").read_bytes()).hexdigest(),
        )
        for file in folder.glob("*/results.json")
    }


@dataclass
class Sweep:
    """A sweep as a process of its own.

    Attributes:
        folder: Of its runs.
        options: As typed.
        environment: Variables beside those of this process.
    """

    folder: Path
    options: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)

    def start(self, *more: str) -> "subprocess.Popen[str]":
        """Start it."""
        options = quick(*self.options, *more, f"hydra.sweep.dir={self.folder}")
        return subprocess.Popen(
            [sys.executable, str(REPOSITORY / "run.py"), "-m", *options],
            cwd=self.folder.parent,
            env=os.environ | self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(self, *more: str) -> str:
        """Run it, to its good end, and return what it printed."""
        process = self.start(*more)
        printed, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, printed
        return printed

    def await_checkpoint(self, process: "subprocess.Popen[str]") -> Path:
        """Wait until a job that has not finished has a checkpoint; return its folder."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and process.poll() is None:
            for file in self.folder.glob("*/checkpoints/last.ckpt"):
                if not (file.parent.parent / "results.json").exists():
                    return file.parent.parent
            time.sleep(0.05)
        process.kill()
        raise AssertionError(f"no job has come to a checkpoint: {process.communicate()[0]}")


@pytest.fixture(scope="session")
def expected(zoo: dict[str, Path], cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Facts:
    """What the sweep finds with the local launcher."""
    sweep = Sweep(tmp_path_factory.mktemp("local") / "sweep", SWEEP, {"KTLIGHT_CACHE": str(cache)})
    sweep.run()
    found = facts(sweep.folder)
    assert len(found) == 8
    return found


@pytest.fixture
def sweep(tmp_path: Path) -> Callable[..., Sweep]:
    """Make a sweep on an engine."""
    return lambda *options, **environment: Sweep(tmp_path / "sweep", (*SWEEP, *options), environment)


@pytest.fixture(scope="session")
def slurm_conf() -> Iterator[Path]:
    """A Slurm with one node of two CPUs; tests skip where it cannot be had, with the reason."""
    if reason := missing():
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder, slurm(Path(folder), cpus=2) as conf:
        yield conf


@pytest.fixture
def on_slurm(slurm_conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands of Slurm work in the test."""
    monkeypatch.setenv("SLURM_CONF", str(slurm_conf))


@pytest.fixture(scope="session")
def needs_ray() -> None:
    """Tests skip where Ray is not installed, with the reason."""
    pytest.importorskip("hydra_plugins.hydra_ray_launcher", reason="needs Ray: pip install 'ktlight[ray]'")
