"""An entry is whole and what was written, or it is not there."""

import json
import os
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ktlight.errors import UserError
from ktlight.store import entry as entries
from ktlight.store.entry import Damaged
from ktlight.store.store import LogitStore
from ktlight.store.upkeep import describe, problems, sweep

from .conftest import BLOCK, KEY, ROWS, SHAPE, Damage, blocks, numbers, write


def names(store: LogitStore) -> list[str]:
    return sorted(path.name for path in store.root.iterdir())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_what_is_written_is_read(store: LogitStore, dtype: torch.dtype) -> None:
    assert store.open(KEY) is None
    values = numbers().to(dtype)
    shape = replace(SHAPE, dtype=str(dtype).removeprefix("torch."))
    with store.lock(KEY, wait=True):
        store.write(KEY, shape, lambda start: blocks(values, start))
    read = store.open(KEY)
    assert read is not None and read.dtype == dtype and torch.equal(read, values)
    read.zero_()  # a private copy: the file stays as it is
    again = store.open(KEY)
    assert again is not None and torch.equal(again, values)
    assert names(store) == [KEY.digest]
    assert {path.name for path in store.folder(KEY).iterdir()} == {"entry.json", "logits.bin"}
    assert store.size() >= shape.bytes and not list(problems(store))


def truncate(folder: Path) -> None:
    os.truncate(folder / "logits.bin", SHAPE.bytes - 4)


def flip(folder: Path) -> None:
    content = bytearray((folder / "logits.bin").read_bytes())
    content[100] ^= 1
    (folder / "logits.bin").write_bytes(content)


def other_version(folder: Path) -> None:
    facts = json.loads((folder / "entry.json").read_text())
    (folder / "entry.json").write_text(json.dumps(facts | {"format": 1}))


def other_weights(folder: Path) -> None:
    store = LogitStore(folder.parent)
    key = replace(KEY, weights="other")
    with store.lock(key, wait=True):
        store.write(key, SHAPE, lambda start: blocks(numbers(9), start))
    store.delete(folder)
    store.folder(key).rename(folder)


DAMAGES = {
    "bytes instead of": truncate,
    "checksum differs": flip,
    "in format 1; this version reads": other_version,
    "holds the outputs of something else": other_weights,
    "cannot be read (JSONDecodeError": lambda folder: (folder / "entry.json").write_text('{"format": 3,'),
    "cannot be read (FileNotFoundError": lambda folder: (folder / "entry.json").unlink(),
    "cannot be read (KeyError": lambda folder: (folder / "entry.json").write_text('{"format": 3}'),
    "cannot be read (TypeError": lambda folder: (folder / "entry.json").write_text("[]"),
    "No such file or directory": lambda folder: (folder / "logits.bin").unlink(),
}


@pytest.mark.parametrize("says", DAMAGES)
def test_damage_is_named(store: LogitStore, says: str) -> None:
    damage: Damage = DAMAGES[says]
    key, sound = write(store), write(store, 1)
    damage(store.folder(key))
    with pytest.raises(Damaged) as raised:
        store.open(key)
    assert says in str(raised.value) and str(store.folder(key)) in str(raised.value)
    named = [str(problem) for problem in problems(store)]
    assert len(named) == 1 and says in named[0]
    assert sound.digest in [facts["digest"] for facts in describe(store)]
    assert store.open(sound) is not None
    store.prune(store.size() - 1)  # what is of no use goes first
    assert store.open(key) is None and store.open(sound) is not None


def test_a_damaged_entry_is_swept(store: LogitStore) -> None:
    key, sound = write(store), write(store, 1)
    other_version(store.folder(key))
    sweep(store)
    assert names(store) == [sound.digest]


def test_bytes_are_checked_once_a_process(store: LogitStore, monkeypatch: pytest.MonkeyPatch) -> None:
    key, reads = write(store), []
    checksum = entries.checksum
    monkeypatch.setattr(entries, "checksum", lambda *given: reads.append(given) or checksum(*given))
    assert [store.open(key) is not None for _ in range(3)] == [True] * 3
    assert len(reads) == 1
    flip(store.folder(key))  # another file by its time
    with pytest.raises(Damaged):
        store.open(key)
    assert list(problems(store)) and len(reads) == 3


class Stopped(Exception):  # noqa: N818
    pass


def stop_after(rows: int) -> object:
    def compute(start: int):
        for block in blocks(numbers(), start):
            if start >= rows:
                raise Stopped
            yield block
            start += len(block)

    return compute


def test_a_stopped_writer_is_continued(store: LogitStore) -> None:
    with pytest.raises(Stopped), store.lock(KEY, wait=True):
        store.write(KEY, SHAPE, stop_after(2 * BLOCK))
    assert store.open(KEY) is None and names(store) == [f"{KEY.digest}.partial"]
    assert store.remaining(KEY, SHAPE) == (ROWS - 2 * BLOCK) * SHAPE.row_bytes
    with (store.root / f"{KEY.digest}.partial" / "logits.bin").open("ab") as file:
        file.write(b"half a row")  # killed between the rows and the note of them
    starts = []
    with store.lock(KEY, wait=True):
        store.write(KEY, SHAPE, lambda start: starts.append(start) or blocks(numbers(), start))
    assert starts == [2 * BLOCK]
    assert torch.equal(store.open(KEY), numbers())


@pytest.mark.parametrize("kind", ["shape", "bytes", "note"])
def test_an_unsound_beginning_is_not_continued(store: LogitStore, kind: str) -> None:
    with pytest.raises(Stopped), store.lock(KEY, wait=True):
        store.write(KEY, SHAPE, stop_after(2 * BLOCK))
    partial, shape, values = store.root / f"{KEY.digest}.partial", SHAPE, numbers()
    if kind == "shape":
        shape, values = replace(SHAPE, dtype="bfloat16"), values.bfloat16()
    elif kind == "bytes":
        flip(partial)
    else:
        (partial / "progress.json").write_text("{")
    with store.lock(KEY, wait=True):
        store.write(KEY, shape, lambda start: blocks(values, start))
    assert torch.equal(store.open(KEY), values)


def test_killed_before_the_last_rename(store: LogitStore, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(Path, "rename", lambda *_: (_ for _ in ()).throw(Stopped))
        write(store)
    starts = []
    with store.lock(KEY, wait=True):
        store.write(KEY, SHAPE, lambda start: starts.append(start) or iter(()))
    assert starts == [ROWS] and torch.equal(store.open(KEY), numbers())


def test_too_few_rows_never_appear(store: LogitStore) -> None:
    with pytest.raises(ValueError, match="7 rows"):
        store.write(KEY, SHAPE, lambda _: [numbers()[:BLOCK]])
    assert store.open(KEY) is None


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    store = LogitStore(tmp_path)
    keys = [write(store, view) for view in range(4)]
    for age, key in enumerate([keys[2], keys[0], keys[3], keys[1]]):
        used = time.time() - 100 + age
        os.utime(store.folder(key) / "entry.json", (used, used))
    store.open(keys[2])  # is used again
    each = store.size() // 4
    store.prune(2 * each + each // 2)
    assert [store.open(key) is not None for key in keys] == [False, True, True, False]
    mapped = store.open(keys[1])
    store.prune(0)
    assert names(store) == [] and torch.equal(mapped, numbers(1))  # a reader keeps what it has


def test_room_is_made_before_anything_is_written(tmp_path: Path) -> None:
    store = LogitStore(tmp_path, max_gb=5 * SHAPE.bytes / 1e9)
    keys = [write(store, view) for view in range(3)]
    store.make_room(SHAPE.bytes)
    assert len(store.entries()) == 2 and store.open(keys[0]) is None
    with pytest.raises(UserError, match=r"more than store.max_gb=.*data.views.*store.top_k.*store=off"):
        store.make_room(6 * SHAPE.bytes)
    assert len(store.entries()) == 2  # nothing is deleted in vain
    with pytest.raises(UserError, match=r"take 1e\+06 GB, but .* has .* GB left: make room.*KTLIGHT_CACHE"):
        LogitStore(tmp_path / "not" / "there").make_room(10**15)
    assert not (tmp_path / "not").exists()


def test_sweep_deletes_only_what_is_nobodys(store: LogitStore) -> None:
    dead, busy = replace(KEY, view=1), replace(KEY, view=2)
    for key in (dead, busy):
        with pytest.raises(Stopped), store.lock(key, wait=True):
            store.write(key, SHAPE, stop_after(BLOCK))
    (store.root / f"{replace(KEY, view=3).digest}.lock").touch()
    (store.root / "x.1-1.deleted").mkdir()
    entry = write(store)
    with store.lock(busy, wait=True):
        held = [f"{busy.digest}.lock", f"{busy.digest}.partial"]
        sweep(LogitStore(store.root))
        assert names(store) == sorted([entry.digest, *held])
        with store.lock(busy, wait=False) as second:
            assert not second
    sweep(store)
    assert names(store) == [entry.digest]


def test_a_lock_that_was_pruned_meanwhile_is_taken_anew(store: LogitStore) -> None:
    path = store.root / f"{KEY.digest}.lock"
    with store.lock(KEY, wait=False) as first:
        path.unlink()
        with store.lock(KEY, wait=False) as second:  # of a new file; the first holder's is nobody's way in
            assert first and second and path.exists()
    assert names(store) == []


@pytest.fixture
def small_disk(tmp_path: Path):
    """A file system of 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small file system can be mounted only by root, outside a container")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_disk_that_fills_up_while_writing(small_disk: Path) -> None:
    store, shape = LogitStore(small_disk / "store"), replace(SHAPE, rows=4000)
    values = torch.randn(shape.rows, shape.columns)

    def compute(start: int):
        for number, block in enumerate(values[start:].split(100)):
            if number == 3 and not start:
                (small_disk / "filler").write_bytes(bytes(32 * 1024))  # somebody else
            yield block

    says = r"cannot be stored in .*: make room.* What was stored so far is kept"
    with pytest.raises(UserError, match=says), store.lock(KEY, wait=True):
        store.write(KEY, shape, compute)
    assert store.open(KEY) is None
    (small_disk / "filler").unlink()
    starts = []
    with store.lock(KEY, wait=True):
        store.write(KEY, shape, lambda start: starts.append(start) or compute(start))
    assert starts[0] >= 300 and torch.equal(store.open(KEY), values)
    with pytest.raises(UserError, match="make room"):
        store.make_room(shape.bytes * 4)


def test_a_read_only_folder(small_disk: Path) -> None:
    store = LogitStore(small_disk / "store")
    key = write(store)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert torch.equal(store.open(key), numbers())
    with pytest.raises(UserError, match=r"cannot be stored in .*Read-only file system.*KTLIGHT_CACHE.*store=off"):
        write(store, 1)
    with pytest.raises(UserError, match="Read-only file system"):
        store.prune(0)


def test_many_entries_are_mapped_not_loaded(tmp_path: Path) -> None:
    store, shape = LogitStore(tmp_path), replace(SHAPE, rows=2**18, columns=16)  # 16 MiB each
    values = torch.zeros(shape.rows, shape.columns)
    keys = [replace(KEY, view=view) for view in range(8)]
    for key in keys:
        with store.lock(key, wait=True):
            store.write(key, shape, lambda start: [values[start:]])
    values = torch.empty(0)
    before = own_memory()
    opened = [store.open(key) for key in keys]
    assert all(stored is not None and not stored[::4096].any() for stored in opened)
    assert own_memory() - before < 2**25  # of 128 MiB


def own_memory() -> int:
    """Return the bytes of memory that are this process's own, without what the page cache holds."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no RssAnon")
