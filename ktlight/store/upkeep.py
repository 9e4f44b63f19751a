"""What is in the store, whether it is sound, and what may go: listing, checking and sweeping it."""

import logging
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from ktlight.store.entry import Damaged, check_bytes, read_entry
from ktlight.store.store import NEVER, LogitStore, last_use

logger = logging.getLogger(__name__)


def describe(store: LogitStore) -> list[dict[str, Any]]:
    """Return, for each entry that can be read, its key and shape, its size and the time of its last use."""
    described = []
    for folder in store.entries():
        try:
            entry = read_entry(folder)
        except Damaged as problem:
            logger.warning("%s", problem)
            continue
        size = {"bytes": entry.shape.bytes, "used": last_use(folder)}
        described.append({"digest": folder.name, **asdict(entry.key), **asdict(entry.shape), **size})
    return described


def problems(store: LogitStore) -> Iterator[Damaged]:
    """Read every entry whole and yield what is wrong with each that is not what was written."""
    for folder in store.entries():
        try:
            check_bytes(read_entry(folder), again=True)
        except Damaged as problem:
            yield problem


def sweep(store: LogitStore) -> None:
    """Delete entries that cannot be read, and what dead processes left half-done; what a living one is at stays."""
    for path in store.root.glob("*.deleted"):
        shutil.rmtree(path, ignore_errors=True)
    for folder in store.entries():
        if last_use(folder) == NEVER:
            store.delete(folder)
    for digest in {path.stem for kind in ("partial", "lock") for path in store.root.glob(f"*.{kind}")}:
        with store.lock_name(digest, wait=False) as held:
            if held:
                store.delete(store.root / f"{digest}.partial")
