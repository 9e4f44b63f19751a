"""Sweeps that are killed again and again, and how soon a run leaves when it is asked to.

A sweep's whole process group is killed with -9 at a moment drawn from the length of an undisturbed one, and the same
command is given again until it ends well; this, until enough moments are tried. Each sweep must then have found what
the undisturbed one found, bit for bit, and no run that was finished may have been touched again.
"""

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from bench.measure import Row, arguments, finish

REPOSITORY = Path(__file__).resolve().parent.parent
MODELS = ("students=[test_vit]", "teachers=[test_resnet,test_convnext]", "methods=[kl,kl_dp]", "seeds=[0]")
QUICK = ("students=[test_vit]", "teachers=[test_convnext]", "methods=[kl]", "seeds=[0]")
SHORT = (
    "pretrain.epochs=1", "trainer.max_epochs=2", "trainer.checkpoint_every_seconds=0", "page.images=false",
    "trainer.progress=false", "launcher.cpus_per_job=1",
)  # fmt: skip
PATIENCE = 300

Found = dict[str, tuple[dict[str, Any], str, str]]


@dataclass(frozen=True)
class Sweep:
    """A sweep in a process of its own, with its own models and stored logits.

    Attributes:
        folder: Of its runs; the cache lies beside it.
        options: What it sweeps over, and more.
        finished: By the folder of a run, what identifies the file of its results when it was first seen.
    """

    folder: Path
    options: tuple[str, ...]
    finished: dict[str, tuple[int, int]] = field(default_factory=dict)

    def start(self) -> "subprocess.Popen[str]":
        """Start the command, which leads a process group."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        options = ["experiment=sweep/pairs", *self.options, *SHORT, f"hydra.sweep.dir={self.folder}"]
        return subprocess.Popen(
            [sys.executable, str(REPOSITORY / "run.py"), *options], cwd=self.folder.parent, text=True,
            start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "KTLIGHT_CACHE": str(self.folder.parent / "cache")},
        )  # fmt: skip

    def run(self) -> float:
        """Run it to its good end and return the seconds."""
        started = time.perf_counter()
        ended(self.start())
        self.check_kept()
        return time.perf_counter() - started

    def killed_after(self, seconds: float) -> bool:
        """Run it for so long at most, and return whether it had to be killed; if not, it has ended well."""
        process = self.start()
        try:
            ended(process, seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        self.check_kept()
        return process.returncode == -signal.SIGKILL

    def check_kept(self) -> None:
        """Check that whatever was finished before is the same file."""
        files = self.folder.glob("*/results.json")
        now = {file.parent.name: (file.stat().st_ino, file.stat().st_mtime_ns) for file in files}
        assert self.finished.items() <= now.items(), "a finished run was repeated"
        self.finished.update(now)

    def found(self) -> Found:
        """Return what its runs found: results without seconds, digests of predictions and of the student's weights."""
        return {
            file.parent.name: (
                {name: value for name, value in json.loads(file.read_text()).items() if name != "seconds"},
                digest(file.parent / "predictions.parquet"),
                digest(file.parent / "student" / "model.safetensors"),
            )
            for file in self.folder.glob("kl*/results.json")
        }


def digest(file: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def ended(process: "subprocess.Popen[str]", seconds: float = PATIENCE, code: int = 0) -> None:
    """Wait until a process ends, and check its exit status."""
    printed, _ = process.communicate(timeout=seconds)
    assert process.returncode == code, printed


def killed(folder: Path, models: tuple[str, ...], moments: int) -> list[Row]:
    """Kill sweeps at so many moments in all, and return how they compare with one that nothing happens to."""
    undisturbed = Sweep(folder / "undisturbed" / "sweep", models)
    length = undisturbed.run()
    expected = undisturbed.found()
    drawn = random.Random(0)
    kills, equal, sweeps = 0, 0, 0
    while kills < moments:
        sweep, sweeps = Sweep(folder / f"killed{sweeps}" / "sweep", models), sweeps + 1
        while kills < moments and sweep.killed_after(drawn.uniform(0, length)):
            kills += 1
        sweep.run()
        equal += sweep.found() == expected
    note = f"{kills} kills, {len(expected)} runs each; no finished run was repeated"
    return [
        Row(f"a sweep{of_models(models)} to which nothing happens", 1000 * length),
        Row("sweeps killed, equal to it", None, equal / sweeps, ">= 1", equal == sweeps, f"{sweeps} sweeps", note),
    ]


def of_models(models: tuple[str, ...]) -> str:
    """Return the launcher if the options name one."""
    return "".join(f" with {option}" for option in models if option.startswith("launcher="))


def asked_to_leave(folder: Path, times: int) -> Row:
    """Send SIGTERM to runs that train, and return how long they take to leave with exit status 75."""
    seconds = []
    for number in range(times):
        sweep = Sweep(folder / f"asked{number}" / "sweep", (*QUICK, "trainer.max_epochs=200"))
        process = sweep.start()
        until = time.monotonic() + PATIENCE
        while not list(sweep.folder.glob("kl-*/checkpoints/last.ckpt")):
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.02)
        started = time.perf_counter()
        process.terminate()
        ended(process, code=75)
        seconds.append(time.perf_counter() - started)
    return Row("from SIGTERM in training to the end with exit status 75", 1000 * median(seconds), note=f"{times} times")


def measured(options: argparse.Namespace) -> list[Row]:
    """Return all rows."""
    with tempfile.TemporaryDirectory() as folder:
        if options.quick:
            return [*killed(Path(folder), QUICK, 1), asked_to_leave(Path(folder), 1)]
        rows = killed(Path(folder) / "local", MODELS, 10)
        rows += killed(Path(folder) / "joblib", (*MODELS, "launcher=joblib", "launcher.jobs=2"), 10)
        return [*rows, asked_to_leave(Path(folder), 3)]


def main(given: list[str] | None = None) -> None:
    options = arguments(__doc__ or "", seconds=0).parse_args(given)
    finish(options, "reliability", measured(options))


if __name__ == "__main__":
    main()
