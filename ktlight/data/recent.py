"""A thread-safe cache of recently used values."""

from collections.abc import Callable, Hashable
from concurrent.futures import Future
from threading import Lock
from typing import Any, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class RecentlyUsed(Generic[Key, Value]):
    """Values loaded on first access; the most recently used are kept.

    Safe for several threads: one of them loads a value while the others wait for it. A copy for another process starts
    empty.

    Args:
        load: Returns the value of a key.
        size: Returns the size of a value in bytes.
        budget: Maximum total size of kept values in bytes; the last one is always kept.
    """

    def __init__(self, load: Callable[[Key], Value], size: Callable[[Value], int], budget: int) -> None:
        self.load = load
        self.size = size
        self.budget = budget
        self._kept: dict[Key, Future[Value]] = {}
        self._lock = Lock()

    def __getitem__(self, key: Key) -> Value:
        with self._lock:
            found = self._kept.pop(key, None)
            future: Future[Value] = Future() if found is None else found
            self._kept[key] = future  # as the last
        if found is None:
            try:
                future.set_result(self.load(key))
            except BaseException as error:
                future.set_exception(error)
                with self._lock:
                    self._kept.pop(key, None)
                raise
            self._shrink()
        return future.result()

    def __getstate__(self) -> dict[str, Any]:
        return {"load": self.load, "size": self.size, "budget": self.budget}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def _shrink(self) -> None:
        with self._lock:
            taken = 0
            for key, future in reversed(list(self._kept.items())):
                if future.done():
                    taken += self.size(future.result())
                    if taken > self.budget and key != next(reversed(self._kept)):
                        del self._kept[key]
