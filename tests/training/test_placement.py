"""Jobs of one machine: each on a device of its own, and with as many threads as it was given."""

import os
import subprocess
import sys

import pytest

from ktlight.training.placement import _visible

CLAIM = """
import sys
from ktlight.training.placement import claim_device
print(claim_device(int(sys.argv[1]), "auto", ["0", "1"]), flush=True)
assert claim_device(int(sys.argv[1]), "auto", ["0", "1"]) == __import__("os").environ["CUDA_VISIBLE_DEVICES"]
sys.stdin.read()
"""


@pytest.fixture
def claims(tmp_path: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Start a process that takes one of two devices and keeps it."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    processes = []

    def start(jobs: int) -> tuple["subprocess.Popen[str]", str]:
        command = [sys.executable, "-c", CLAIM, str(jobs)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        return process, process.stdout.readline().strip()  # type: ignore[union-attr]

    yield start
    for process in processes:
        process.kill()
        process.wait()


def test_each_process_has_its_device(claims) -> None:  # type: ignore[no-untyped-def]
    (first, one), (_, other) = claims(2), claims(2)
    assert {one, other} == {"0", "1"}
    first.kill()  # -9: the lock goes with the process
    first.wait()
    assert claims(2)[1] == one


def test_more_jobs_than_devices_share_them(claims) -> None:  # type: ignore[no-untyped-def]
    assert sorted(claims(4)[1] for _ in range(4)) == ["0", "0", "1", "1"]


def test_visible_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert _visible(2) == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, 5")
    assert _visible(2) == ["3", "5"] and _visible(0) == []


def test_threads() -> None:
    code = """
import torch
from ktlight.training.placement import compute_with
compute_with(3)
print(torch.get_num_threads())
"""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    assert subprocess.check_output([sys.executable, "-c", code], env=environment, text=True).strip() == "3"
