"""Two processes of one run, as torchrun starts them, forked from this one, so that nothing is imported again."""

import multiprocessing
from collections.abc import Callable, Sequence
from pathlib import Path

from conftest import run_here

from tests.forked import settle, world

RANKS = 2
PATIENCE = 1800  # seconds: only a process that hangs takes longer, however busy the machine is


def run_in_ranks(
    commands: Sequence[Sequence[str]], folder: Path, prepare: Callable[[], object] = lambda: None
) -> list[int]:
    """Run commands one after the other in both processes, and return how each ended in the first one.

    What they print is in ``0.txt`` and ``1.txt``. Models have to be in the zoo: the first process could not train one
    alone, as it does at the start of a run, where the two have not met yet.
    """
    environments = world(RANKS)
    forked = multiprocessing.get_context("fork")
    codes = forked.SimpleQueue()

    def run(rank: int) -> None:
        settle(environments[rank], folder / f"{rank}.txt")
        prepare()
        for command in commands:
            code = run_here(*command)
            if rank == 0:
                codes.put(code)

    ranks = [forked.Process(target=run, args=(rank,), daemon=True) for rank in range(RANKS)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(PATIENCE)
    ended = [process.exitcode for process in ranks]
    for process in ranks:
        process.kill()
    assert ended == [0] * RANKS, "".join((folder / f"{rank}.txt").read_text() for rank in range(RANKS))
    return [codes.get() for _ in commands]
