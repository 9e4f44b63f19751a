"""The machine and its peak rates, from which floors are computed."""

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch

MATRIX = 2048
COPIED = 2**28
REPEATS = 5


@dataclass(frozen=True)
class Rates:
    """Measured rates.

    Attributes:
        flops: Floating-point operations per second in a large matrix product.
        bytes: Bytes read and written per second in a large copy.
    """

    flops: float
    bytes: float

    def seconds(self, operations: float, moved: float) -> float:
        """Return the minimum time for these operations and bytes, if both could overlap fully."""
        return max(operations / self.flops, moved / self.bytes)


def measure_rates(device: torch.device) -> Rates:
    """Return the rates of a device in its default number type (bfloat16 on a GPU)."""
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    a, b = (torch.randn(MATRIX, MATRIX, device=device, dtype=dtype) for _ in range(2))
    source = torch.zeros(COPIED, dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    return Rates(
        flops=2 * MATRIX**3 / _seconds(lambda: a @ b, device),
        bytes=2 * COPIED / _seconds(lambda: target.copy_(source), device),
    )


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished all queued work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_memory(device: torch.device) -> int:
    """Return a GPU's peak memory in bytes since the last call, and reset it; 0 on a CPU."""
    if device.type != "cuda":
        return 0
    peak = torch.cuda.max_memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    return peak


def describe() -> str:
    """Return a one-line description of the machine."""
    gpu = f"{torch.cuda.get_device_name()}, " if torch.cuda.is_available() else "no GPU, "
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{os.cpu_count()}-core {platform.machine()}, {gpu}{capability}, torch {torch.__version__}"


def _seconds(run: Callable[[], object], device: torch.device) -> float:
    times = []
    for _ in range(REPEATS + 1):
        synchronize(device)
        started = time.perf_counter()
        run()
        synchronize(device)
        times.append(time.perf_counter() - started)
    return median(times[1:])
