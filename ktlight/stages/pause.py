"""Where a transfer pauses: its student is about to learn, alone or together with those of other runs.

A task that pauses is a generator: it yields what is to be trained, and is sent a function that gives the outcome of the
training, or raises its error within the task. Nothing here loads torch, so that other tasks start at once.
"""

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from ktlight.stages.schedule import Outcome
    from ktlight.stages.waiting import Waiting

Result = TypeVar("Result")
Steps = Generator["Waiting", "Callable[[], Outcome]", Result]
"""A task that pauses where its student is to be trained."""


def alone(steps: Steps[Result]) -> Result:
    """Run a task to its end, training what it asks for by itself."""
    answer: Any = None
    while True:
        try:
            waiting = steps.send(answer)
        except StopIteration as end:
            result: Result = end.value
            return result
        answer = waiting.alone
