"""A key, a store with a few entries, and an output cache over tiny models."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ktlight.store.entry import Shape, checked
from ktlight.store.key import Key
from ktlight.store.store import LogitStore

ROWS, COLUMNS, BLOCK = 40, 3, 7
SHAPE = Shape(ROWS, COLUMNS, "float32")
KEY = Key("model", "weights", "architecture", "preprocess", "data", "transform", 0, "cpu 32-true", "torch", "full")


def numbers(view: int = 0) -> Tensor:
    return torch.randn(ROWS, COLUMNS, generator=torch.Generator().manual_seed(view))


def blocks(stored: Tensor, start: int = 0) -> Iterator[Tensor]:
    yield from stored[start:].split(BLOCK)


def write(store: LogitStore, view: int = 0) -> Key:
    """Write an entry and return its key."""
    key = replace(KEY, view=view)
    with store.lock(key, wait=True) as held:
        assert held
        store.write(key, SHAPE, lambda start: blocks(numbers(view), start))
    return key


@pytest.fixture
def store(tmp_path: Path) -> LogitStore:
    checked.clear()
    return LogitStore(tmp_path / "store")


Damage = Callable[[Path], object]
