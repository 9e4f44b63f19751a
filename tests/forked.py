"""Commands in processes that are forked from this one, so that nothing is imported again: that takes longer than a run.

It is safe as long as torch has started no threads here, and the tests give it one.
"""

import multiprocessing
import os
import socket
import sys
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path

from tests.conftest import run_here


def world(size: int) -> list[dict[str, str]]:
    """Return the environment of each process of a run, as torchrun sets it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "TORCHELASTIC_RUN_ID": "test"}
    shared |= {"WORLD_SIZE": str(size), "LOCAL_WORLD_SIZE": str(size), "GROUP_RANK": "0", "GROUP_WORLD_SIZE": "1"}
    return [{**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(size)]


def settle(environment: Mapping[str, str], printed: Path | None) -> None:
    """Make this process, a forked one, what a started one would be: its rank, its environment, where it prints.

    Its pages have no curves: it could draw none if its parent has drawn.
    """
    from lightning_utilities.core.rank_zero import rank_zero_only

    from ktlight.publication.run import page

    os.environ.update(environment)
    rank_zero_only.rank = int(environment.get("RANK", 0))  # type: ignore[attr-defined]  # read once, at import
    page.figures = lambda record: []
    if printed is not None:
        sys.stdout = sys.stderr = printed.open("w", buffering=1)


def run_forked(*arguments: str, printed: Path | None = None, **environment: str) -> BaseProcess:
    """Start ``ktlight ARGUMENTS`` in a forked process, which leads a process group.

    Args:
        arguments: As typed.
        printed: The file that takes what it prints.
        environment: Variables of its own.
    """

    def run() -> None:
        os.setsid()
        settle(environment, printed)
        sys.exit(run_here(*arguments))

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    return process
