"""One decoded copy of a split for all processes of a machine."""

import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ktlight.data import shared as module
from ktlight.data.shared import shared

forked = multiprocessing.get_context("fork")
SIZE = 5_000_000


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(module, "MEMORY", tmp_path)
    module._say.cache_clear()
    return tmp_path / f"ktlight-{os.getuid()}"


def make(seed: int = 0) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    return [generator.integers(0, 99, (3, 2)), generator.integers(0, 256, SIZE, np.uint8).reshape(-1, 5, 2)]


def no_copy() -> list[np.ndarray]:
    raise AssertionError("there is a copy already")


def files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def test_a_second_process_maps_what_the_first_one_made(folder: Path) -> None:
    arrays = shared("a", make)
    assert [np.array_equal(*pair) for pair in zip(arrays, make(), strict=True)] == [True, True]
    assert [array.dtype for array in arrays] == [np.int64, np.uint8]
    answers = forked.SimpleQueue()

    def other() -> None:
        before = private(os.getpid())
        again = shared("a", no_copy)
        again[1][0] = 7  # in its own memory alone
        answers.put((int(again[1].astype(np.int64).sum()), private(os.getpid()) - before))

    process = forked.Process(target=other)
    process.start()
    process.join(600)
    total, own = answers.get()
    assert total == int(arrays[1].astype(np.int64).sum()) - int(arrays[1][0].astype(np.int64).sum()) + 70
    assert own < SIZE / 4
    [file] = files(folder)  # the other process has ended, and this one still has its copy
    assert file.parent.stat().st_mode & 0o077 == 0
    del arrays
    assert not files(folder)


def private(process: int) -> int:
    """Return the bytes that only one process has."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def race(identity: str, answers: "multiprocessing.SimpleQueue[int]", made: Path) -> None:
    def slowly() -> list[np.ndarray]:
        made.with_suffix(f".{os.getpid()}").touch()
        return make(1)

    for _ in range(5):
        answers.put(int(shared(identity, slowly)[1].astype(np.int64).sum()))


def test_many_at_once_get_the_same(folder: Path, tmp_path: Path) -> None:
    answers = forked.SimpleQueue()
    processes = [forked.Process(target=race, args=("b", answers, tmp_path / "made")) for _ in range(4)]
    for process in processes:
        process.start()
    sums = {answers.get() for _ in range(20)}
    for process in processes:
        process.join(600)
    assert [process.exitcode for process in processes] == [0] * 4
    assert sums == {int(make(1)[1].astype(np.int64).sum())} and not files(folder)


@pytest.mark.parametrize("complete", [True, False])
def test_what_a_killed_process_left_is_removed(folder: Path, complete: bool) -> None:
    shared("c", make)
    process = forked.Process(target=lambda: (shared("c", make) if complete else cut("c", folder), os._exit(9)))
    process.start()
    process.join(600)
    assert len(files(folder)) == 1
    arrays = shared("d", lambda: make(2))
    assert len(files(folder)) == 1 and np.array_equal(arrays[1], make(2)[1])
    assert np.array_equal(shared("c", make)[1], make()[1])


def cut(identity: str, folder: Path) -> None:
    """Be killed while writing."""
    module._write_all = lambda file, content: (file.write(content[:99]), os._exit(9))
    shared(identity, make)


def test_without_room_each_process_keeps_its_own(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with monkeypatch.context() as patch:
        patch.setattr(module.shutil, "disk_usage", lambda _: type("Room", (), {"free": 10}))
        assert np.array_equal(shared("e", make)[1], make()[1]) and not files(folder)
    assert "not shared with others on this machine: [Errno 28] No space left" in caplog.text
    folder.chmod(0o777)
    assert np.array_equal(shared("e", make)[1], make()[1]) and not files(folder)
    assert "others can write there" in caplog.text


def test_what_cannot_be_made_leaves_nothing(folder: Path) -> None:
    assert shared("f", lambda: None) is None
    with pytest.raises(OSError, match="unreadable"):
        shared("f", broken)
    assert not files(folder)


def broken() -> list[np.ndarray]:
    raise OSError("unreadable")
