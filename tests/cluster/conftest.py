"""A sweep of eight jobs, started as a user starts it, on whatever engine; and a Slurm for it."""

import hashlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.cluster.slurm import missing, slurm
from tests.conftest import REPOSITORY, figures, quick

EIGHT = (
    "experiment=sweep/pairs", "students=[test_vit]", "teachers=[test_convnext,test_resnet]", "methods=[kl,kl_dp]",
    "seeds=[0,1]", "trainer.max_epochs=2",
)  # fmt: skip
"""Runs of a few seconds, after one that prepares the student they share."""
LONG = ("method=kl,kl_dp", "seed=0", "trainer.max_epochs=20", "trainer.checkpoint_every_seconds=0")
"""Two jobs that are still busy when something happens to them."""
SAME = ("pretrain.seed=0", "launcher.cpus_per_job=1")
"""With a given number of threads, figures are the same to the last bit."""
PATIENCE = 600

Facts = dict[str, Any]
started: list["subprocess.Popen[str]"] = []
"""Sweeps that tests have started."""


def facts(folder: Path) -> Facts:
    """Return all that the finished runs of a sweep found: figures, predictions, and the digest of the weights."""
    return {
        file.parent.name: (
            figures(file.parent),
            pq.read_table(file.parent / "predictions.parquet").to_pydict(),
            hashlib.sha256((file.parent / "student" / "model.safetensors").read_bytes()).hexdigest(),
        )
        for file in folder.glob("*/results.json")
        if not file.parent.name.startswith("prepare-")
    }


@dataclass(frozen=True)
class Sweep:
    """A sweep as a process of its own.

    Attributes:
        folder: Of its runs.
        options: As typed.
    """

    folder: Path
    options: tuple[str, ...]

    def start(self, *more: str) -> "subprocess.Popen[str]":
        """Start it."""
        options = quick(*self.options, *SAME, *more, f"hydra.sweep.dir={self.folder}")
        process = subprocess.Popen(
            [sys.executable, str(REPOSITORY / "run.py"), "-m", *options],
            cwd=self.folder.parent,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        started.append(process)
        return process

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


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    """End sweeps that a failed test has left."""
    yield
    while started:
        process = started.pop()
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def undisturbed(zoo: dict[str, Path], cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Facts]:
    """Return what a sweep finds with the local launcher if nothing happens to it; each is run once."""

    @lru_cache
    def run(*options: str) -> Facts:
        sweep = Sweep(tmp_path_factory.mktemp("local") / "sweep", options)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("KTLIGHT_CACHE", str(cache))
            sweep.run()
        return facts(sweep.folder)

    return run


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


@pytest.fixture
def on_ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A Ray whose files lie in one folder; tests skip where it cannot be had, with the reason."""
    pytest.importorskip("hydra_plugins.hydra_ray_launcher", reason="needs Ray: pip install 'ktlight[ray]'")
    with tempfile.TemporaryDirectory(prefix="ray-") as folder:  # the name of a socket must not be long
        for name, value in {"RAY_TMPDIR": folder, "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}.items():
            monkeypatch.setenv(name, value)
        yield
