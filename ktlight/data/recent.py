"""What was used lately stays in memory."""

from collections.abc import Callable, Hashable
from concurrent.futures import Future
from threading import Lock
from typing import Any, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class RecentlyUsed(Generic[Key, Value]):
    """Values that are loaded when they are first asked for; those used last are kept.

    Several threads may ask: each value is loaded by one of them, and the others wait for it. A copy for another process
    starts empty.

    Args:
        load: Gives the value of a key.
        size: Bytes that a value takes.
        budget: Bytes that all kept values may take together; the last one is kept whatever it takes.
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
