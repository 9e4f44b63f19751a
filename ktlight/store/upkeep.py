"""Maintenance of the store: listing, checking and sweeping it."""

import logging
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from ktlight.store.entry import Damaged, check_bytes, read_entry
from ktlight.store.store import NEVER, LogitStore, last_use

logger = logging.getLogger(__name__)


def describe(store: LogitStore) -> list[dict[str, Any]]:
    """Return the key, shape, size and time of last use of every readable entry."""
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
    """Verify every entry in full and yield what is wrong with each damaged one."""
    for folder in store.entries():
        try:
            check_bytes(read_entry(folder), again=True)
        except Damaged as problem:
            yield problem


def sweep(store: LogitStore) -> None:
    """Delete unreadable entries and the leftovers of dead processes; entries being written are left alone."""
    for path in store.root.glob("*.deleted"):
        shutil.rmtree(path, ignore_errors=True)
    for folder in store.entries():
        if last_use(folder) == NEVER:
            store.delete(folder)
    for digest in {path.stem for kind in ("partial", "lock") for path in store.root.glob(f"*.{kind}")}:
        with store.lock_name(digest, wait=False) as held:
            if held:
                store.delete(store.root / f"{digest}.partial")
