"""What W&B has written offline, read back."""

import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BLOCK, HEADER = 2**15, 7
"""Of LevelDB's log format, in which W&B writes; its file starts with a header of its own, as long."""
FULL, LAST = 1, 4


def records(run: Path) -> dict[str, Any]:
    """Return the last logged value of every name, the parts of a value after a slash, from an offline run."""
    items = (item for record in _records(run) for item in record.history.item)
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def summary(run: Path) -> dict[str, Any]:
    """Return the summary that an offline run was given, with its exit status, without what W&B adds."""
    found = _records(run)
    given = {item.key: json.loads(item.value_json) for record in found for item in record.summary.update if item.key}
    (status,) = (record.exit.exit_code for record in found if record.HasField("exit"))
    return {name: value for name, value in given.items() if not name.startswith("_")} | {"status": status}


def started(run: Path) -> Any:
    """Return how an offline run began: its project, group, name and id."""
    return next(record.run for record in _records(run) if record.HasField("run"))


def _records(run: Path) -> list[Any]:
    """Return all records, once the last is there: W&B's own process may write it a moment after a run has finished."""
    for _ in range(100):
        found = list(_parsed(run))
        if any(record.HasField("exit") for record in found):
            return found
        time.sleep(0.1)
    raise AssertionError(f"{run} has not finished")


def _parsed(run: Path) -> Iterator[Any]:
    from wandb.proto.wandb_internal_pb2 import Record

    (file,) = run.glob("*.wandb")
    for data in _written(file.read_bytes()):
        record = Record()
        record.ParseFromString(data)
        yield record


def _written(content: bytes) -> Iterator[bytes]:
    assert content.startswith(b":W&B")
    position, parts = HEADER, b""
    while position + HEADER <= len(content):
        if BLOCK - position % BLOCK < HEADER:  # too little room for a header: the rest of the block is padding
            position += BLOCK - position % BLOCK
            continue
        length, kind = struct.unpack_from("<HB", content, position + 4)
        parts += content[position + HEADER : position + HEADER + length]
        position += HEADER + length
        if kind in (FULL, LAST):
            yield parts
            parts = b""
