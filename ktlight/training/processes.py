"""The processes of a run: what started them, which one writes, broadcasting values, and barriers.

Nothing here loads torch or Lightning: where they are not loaded yet, there is one process.
"""

import os
import sys
from typing import TypeVar

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning_utilities.core.rank_zero import rank_zero_only

RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID")
"""Variables that say which process this is, in Lightning's order: those of torchrun, its own, and srun's."""
Decision = TypeVar("Decision")


def is_first_process() -> bool:
    """Return whether this process is the one that writes files."""
    started_as = next((os.environ[name] for name in RANKS if name in os.environ), "0")
    return int(getattr(rank_zero_only, "rank", started_as)) == 0  # Lightning sets it when it is imported


def is_job_of_a_sweep() -> bool:
    """Return whether this process runs a job of a sweep, wherever the sweep's launcher started it."""
    return bool(HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN)


def agreed(value: Decision) -> Decision:
    """Return the first process's value in every process of the run."""
    if not are_several():
        return value
    values = [value]
    sys.modules["torch"].distributed.broadcast_object_list(values)
    return values[0]


def wait_for_all() -> None:
    """Wait until every process of the run has arrived."""
    if are_several():
        sys.modules["torch"].distributed.barrier()


def are_several() -> bool:
    """Return whether several processes work on this run, and have found each other."""
    torch = sys.modules.get("torch")
    return bool(torch and torch.distributed.is_available() and torch.distributed.is_initialized())
