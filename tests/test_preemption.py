"""What signals do to a process: it takes note, leaves where it says so, and has its own handlers again."""

import fcntl
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from ktlight import preemption
from ktlight.errors import Preempted
from ktlight.preemption import SIGNALS, asked_to_leave, forget, leave_if_asked, leaving_when_asked, wait_for


@pytest.fixture(autouse=True)
def _nothing_asked() -> Iterator[None]:
    before = [signal.getsignal(number) for number in SIGNALS]
    forget()
    yield
    forget()
    assert [signal.getsignal(number) for number in SIGNALS] == before


@pytest.fixture
def host() -> Iterator[list[int]]:
    """Handlers of a program around the run, which write down the signals that they get."""
    got: list[int] = []
    former = {number: signal.signal(number, lambda number, frame: got.append(number)) for number in SIGNALS}
    yield got
    for number, handler in former.items():
        signal.signal(number, handler)


def ask(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_noted_and_passed_on_once_the_run_has_left(number: int, host: list[int]) -> None:
    with pytest.raises(Preempted), leaving_when_asked():
        leave_if_asked()
        ask(number)
        assert asked_to_leave() and host == []
        leave_if_asked()
    assert host == [number]
    ask(number)
    assert host == [number, number]  # its own handlers are back


def test_a_run_that_ends_before_it_can_leave_has_ended(host: list[int]) -> None:
    with leaving_when_asked():
        ask(signal.SIGTERM)
    assert host == []


def test_only_the_outermost_block_answers(host: list[int]) -> None:
    with pytest.raises(Preempted), leaving_when_asked():
        with pytest.raises(Preempted), leaving_when_asked():
            ask(signal.SIGUSR2)
            leave_if_asked()
        assert host == []
        leave_if_asked()
    assert host == [signal.SIGUSR2]


def test_a_handler_of_a_launcher_may_end_the_process(host: list[int]) -> None:
    def requeue(number: int, frame: Any) -> None:
        raise SystemExit(-1)

    signal.signal(signal.SIGUSR2, requeue)
    with pytest.raises(SystemExit), leaving_when_asked():
        ask(signal.SIGUSR2)
        leave_if_asked()


def test_handlers_are_left_alone_outside_the_main_thread(host: list[int]) -> None:
    def work() -> None:
        with leaving_when_asked():
            seen.append(signal.getsignal(signal.SIGTERM))

    seen: list[Any] = []
    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


def test_the_same_request_comes_in_several_signals_and_an_urgent_one_later(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(preemption, "monotonic", lambda: now)
    with pytest.raises(Preempted), leaving_when_asked():
        ask(signal.SIGUSR1)
        now += preemption.PATIENCE / 2
        ask(signal.SIGTERM)
        now += preemption.PATIENCE
        ask(signal.SIGTERM)
        pytest.fail("still here")


def test_waiting_for_another_process_ends(tmp_path: Path) -> None:
    mine = FileLock(tmp_path / "lock")
    with (tmp_path / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # as another process would hold it
        with pytest.raises(Preempted), leaving_when_asked():
            timer = threading.Timer(0.2, ask, [signal.SIGTERM])
            timer.start()
            wait_for(mine)
        timer.join()
    wait_for(mine)
    assert mine.is_locked
    mine.release()
