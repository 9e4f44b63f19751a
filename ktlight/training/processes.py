"""The processes of a distributed run: which one writes, broadcasting values, and barriers."""

from typing import TypeVar

import torch
from lightning.pytorch.utilities import rank_zero_only

Decision = TypeVar("Decision")


def is_first_process() -> bool:
    """Return whether this process is the one that writes files."""
    return bool(rank_zero_only.rank == 0)  # type: ignore[attr-defined]


def agreed(value: Decision) -> Decision:
    """Return the first process's value in every process of the run."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return value
    values = [value]
    torch.distributed.broadcast_object_list(values)
    return values[0]


def wait_for_all() -> None:
    """Wait until every process of the run has arrived."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
