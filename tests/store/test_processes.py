"""Several processes want one entry: one computes it, the others wait for it, and nobody waits for the dead."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ktlight.store.store import LogitStore

from .conftest import BLOCK, KEY, SHAPE, blocks, numbers

FORK = multiprocessing.get_context("fork")


def fill(root: Path, computed: Path, pause: Callable[[int], object] = lambda start: None) -> Tensor:
    """Do what a run does: open the entry or, under its lock, compute it; note which rows this process computed."""
    store = LogitStore(root)

    def compute(start: int) -> Iterator[Tensor]:
        for block in blocks(numbers(), start):
            pause(start)
            with computed.open("a") as file:
                file.write(f"{os.getpid()} {start}\n")
            yield block
            start += len(block)

    with store.lock(KEY, wait=True):
        stored = store.open(KEY)
        if stored is None:
            store.write(KEY, SHAPE, compute)
            stored = store.open(KEY)
    assert stored is not None and torch.equal(stored, numbers())
    return stored


def rows(computed: Path) -> list[int]:
    return [int(line.split()[1]) for line in computed.read_text().splitlines()]


def wait_for(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_racing_for_one_entry(tmp_path: Path) -> None:
    computed = tmp_path / "computed"
    arguments = (tmp_path / "store", computed, lambda _: time.sleep(0.02))
    processes = [FORK.Process(target=fill, args=arguments, daemon=True) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
    assert [process.exitcode for process in processes] == [0] * 4
    assert len({line.split()[0] for line in computed.read_text().splitlines()}) == 1  # one process computed,
    assert rows(computed) == list(range(0, SHAPE.rows, BLOCK))  # and every row once


def test_killed_half_way(tmp_path: Path) -> None:
    computed, undisturbed = tmp_path / "computed", tmp_path / "undisturbed"
    fill(undisturbed, tmp_path / "other")
    stop = 3 * BLOCK
    writer = FORK.Process(
        target=fill, daemon=True, args=(tmp_path / "store", computed, lambda start: time.sleep(60 * (start == stop)))
    )
    writer.start()
    partial = tmp_path / "store" / f"{KEY.digest}.partial" / "progress.json"
    wait_for(lambda: partial.exists() and f'"rows": {stop},' in partial.read_text())
    with LogitStore(tmp_path / "store").lock(KEY, wait=False) as held:
        assert not held  # it lives
    waiting = FORK.Process(target=fill, args=(tmp_path / "store", computed), daemon=True)
    waiting.start()
    assert writer.pid is not None
    os.kill(writer.pid, signal.SIGKILL)
    waiting.join(300)
    writer.join()
    assert waiting.exitcode == 0
    assert rows(computed) == list(range(0, SHAPE.rows, BLOCK))  # the second went on where the first was stopped
    for name in ("logits.bin", "entry.json"):
        files = [root / KEY.digest / name for root in (tmp_path / "store", undisturbed)]
        assert files[0].read_bytes() == files[1].read_bytes()
    assert [path.name for path in (tmp_path / "store").iterdir()] == [KEY.digest]


def test_a_forked_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    store = LogitStore(tmp_path)
    with store.lock(KEY, wait=True):
        worker = FORK.Process(
            target=time.sleep, args=(60,), daemon=True
        )  # a data worker: it inherits the open lock file
        worker.start()
    try:
        with store.lock(KEY, wait=False) as held:
            assert held
    finally:
        worker.kill()
        worker.join()


def test_pruned_while_it_is_opened(tmp_path: Path) -> None:
    """A reader finds a whole entry or none, whenever another process deletes it."""

    def churn() -> None:
        store, key = LogitStore(tmp_path), replace(KEY, view=5)
        while True:
            with store.lock(key, wait=True):
                store.write(key, SHAPE, lambda start: blocks(numbers(5), start))
            store.prune(0)

    churning = FORK.Process(target=churn, daemon=True)
    churning.start()
    store, found = LogitStore(tmp_path), 0
    deadline = time.monotonic() + 300
    while found < 20 and time.monotonic() < deadline:
        stored = store.open(replace(KEY, view=5))
        if stored is not None:
            assert torch.equal(stored, numbers(5))
            found += 1
    churning.kill()
    churning.join()
    assert found == 20
