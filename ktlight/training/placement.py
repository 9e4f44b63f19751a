"""Where a job computes: on one of the GPUs of a machine that several jobs share, and with how many threads."""

import getpass
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from ktlight.config.launcher import gpus_here

PAUSE = 1.0
"""Seconds between two looks for a free device."""
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

_held: list[FileLock] = []


def compute_with(threads: int | None) -> None:
    """Compute with so many threads, here and in processes started from here; None leaves it as it is.

    Sums are split among threads, so figures depend on their number in the last digits.
    """
    if threads is None:
        return
    os.environ.update(dict.fromkeys(THREADS, str(threads)))  # for what is not loaded yet
    import torch

    torch.set_num_threads(threads)


def claim_device(jobs: int | None, accelerator: str, devices: Sequence[str] | None = None) -> str | None:
    """Take one of the machine's GPUs for this process, until it ends, and hide the others; wait until one is free.

    The processes that run jobs are used again for further ones, and CUDA sees the devices that it saw first: a process
    keeps its device. A lock on a file is what holds it, so a process that was killed holds nothing.

    Args:
        jobs: How many jobs run at a time; more than devices share them. None: one a device.
        accelerator: As of the trainer.
        devices: Names of the devices; None: those that are visible here.

    Returns:
        The name of the device; None if there are none.
    """
    if _held:
        return os.environ["CUDA_VISIBLE_DEVICES"]
    names = _visible(gpus_here(accelerator)) if devices is None else devices
    if not names:
        return None
    places = -(-jobs // len(names)) if jobs else 1
    folder = Path(tempfile.gettempdir()) / f"ktlight-devices-{getpass.getuser()}"
    folder.mkdir(exist_ok=True)
    while True:
        for place in range(places):  # a second job comes to a device only when each has one
            for name in names:
                lock = FileLock(folder / f"{name.replace('/', '-')}-{place}.lock")
                try:
                    lock.acquire(timeout=0)
                except Timeout:
                    continue
                _held.append(lock)
                os.environ["CUDA_VISIBLE_DEVICES"] = name
                return name
        print("all GPUs of this machine are in use by other jobs: waiting for one", file=sys.stderr)
        time.sleep(PAUSE)


def _visible(count: int) -> list[str]:
    """Return the names of the visible devices, as in ``CUDA_VISIBLE_DEVICES``."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    return [name.strip() for name in given.split(",")][:count] if given else [str(index) for index in range(count)]
