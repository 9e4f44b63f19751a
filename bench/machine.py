"""What the machine is and what it can do at best: the rates that floors are reckoned with."""

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
        flops: Floating-point operations a second in a large matrix product.
        bytes: Bytes read and written a second in a large copy.
    """

    flops: float
    bytes: float

    def seconds(self, operations: float, moved: float) -> float:
        """Return the least time for so many operations and bytes, if both could go on at once."""
        return max(operations / self.flops, moved / self.bytes)


def measure_rates(device: torch.device) -> Rates:
    """Return the rates of a device, in the number type that runs there by default (bfloat16 on a GPU)."""
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    a, b = (torch.randn(MATRIX, MATRIX, device=device, dtype=dtype) for _ in range(2))
    source = torch.zeros(COPIED, dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    return Rates(
        flops=2 * MATRIX**3 / _seconds(lambda: a @ b, device),
        bytes=2 * COPIED / _seconds(lambda: target.copy_(source), device),
    )


def synchronize(device: torch.device) -> None:
    """Wait until the device has done all it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_memory(device: torch.device) -> int:
    """Return the most bytes of a GPU taken since the last call, and start anew; 0 on a processor."""
    if device.type != "cuda":
        return 0
    peak = torch.cuda.max_memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    return peak


def describe() -> str:
    """Return the machine in a line."""
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
