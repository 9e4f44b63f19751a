"""The processes of a distributed run: which one writes, broadcasting values, and barriers.

Nothing here loads torch or Lightning: where they are not loaded yet, there is one process.
"""

import sys
from typing import TypeVar

from lightning_utilities.core.rank_zero import rank_zero_only

Decision = TypeVar("Decision")


def is_first_process() -> bool:
    """Return whether this process is the one that writes files."""
    return bool(getattr(rank_zero_only, "rank", 0) == 0)  # Lightning sets it


def agreed(value: Decision) -> Decision:
    """Return the first process's value in every process of the run."""
    if not _are_several():
        return value
    values = [value]
    sys.modules["torch"].distributed.broadcast_object_list(values)
    return values[0]


def wait_for_all() -> None:
    """Wait until every process of the run has arrived."""
    if _are_several():
        sys.modules["torch"].distributed.barrier()


def _are_several() -> bool:
    torch = sys.modules.get("torch")
    return bool(torch and torch.distributed.is_available() and torch.distributed.is_initialized())
