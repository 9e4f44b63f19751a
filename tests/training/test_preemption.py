"""A run that is asked to leave does so between two steps, says how to go on, and then ends as if nothing had been."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny
from conftest import Command, run_here
from forked import run_forked, world
from process import process

import ktlight
from ktlight.answers import stored
from ktlight.errors import Preempted, UserError
from ktlight.methods.base import TransferMethod
from ktlight.preemption import SIGNALS, forget, leaving_when_asked
from ktlight.report.failure import FAILURE
from ktlight.report.state import State, state_of
from ktlight.training.failing import nothing_but_leaving
from ktlight.training.trainer import build_trainer
from tests.tasks.test_resume import assert_same_run

RUN = (
    "method=kl_mcl", "data.views=2", "restraint.samples=36", "trainer.max_epochs=3", "data.batch_size=60", "optim=sgd",
    "trainer.check_val_every_n_epoch=1", "trainer.checkpoint_every_seconds=1000",
)  # fmt: skip
STEPS = 6  # an epoch
HERE = os.getpid()


@pytest.fixture(autouse=True)
def _nothing_asked() -> Iterator[None]:
    forget()
    yield
    forget()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., list[int]]]:
    """Send a signal within a training step; the list fills with the steps that ran."""
    step = TransferMethod.training_step

    def set_up(at: int, number: int = signal.SIGTERM) -> list[int]:
        ran: list[int] = []

        def training_step(method: Any, batch: Any, batch_idx: int) -> Any:
            ran.append(method.trainer.global_step)
            if len(ran) == at:
                os.kill(HERE, number)
            return step(method, batch, batch_idx)

        monkeypatch.setattr(TransferMethod, "training_step", training_step)
        return ran

    yield set_up
    monkeypatch.undo()


@pytest.fixture(scope="module")
def undisturbed(run_in: Callable[..., Path], zoo: dict[str, Path]) -> Path:
    return run_in("undisturbed", *RUN)


@pytest.mark.parametrize(("at", "kept"), [(STEPS + 3, 0), (2 * STEPS, 2), (3 * STEPS, 3)])
def test_a_run_leaves_at_the_end_of_a_step_and_goes_on_bit_for_bit(
    at: int, kept: int, undisturbed: Path, command: Command, tmp_path: Path, asked: Callable[..., list[int]],
    monkeypatch: pytest.MonkeyPatch, cache: Path,
) -> None:  # fmt: skip
    ran = asked(at, SIGNALS[at % 3])
    left = command(*RUN, "hydra.run.dir=run")
    assert left.code == 75 and "Traceback" not in left.out + left.err
    assert len(ran) == at  # the step in which the signal came was the last one
    (line,) = [line for line in left.err.splitlines() if line.startswith("preempted")]
    assert (f"{kept} whole epoch" if kept else "before the first checkpoint") in line
    assert ("resume=true" in line) == bool(kept) and "run.py method=kl_mcl" in line
    assert state_of(tmp_path / "run") == State.INTERRUPTED and not (tmp_path / "run" / FAILURE).exists()

    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KTLIGHT_CACHE", str(cache))
    assert command(*RUN, "hydra.run.dir=run", "resume=true").code == 0
    assert_same_run(tmp_path / "run", undisturbed)


def test_a_sweep_leaves_and_the_same_command_goes_on(
    zoo: dict[str, Path], command: Command, tmp_path: Path, asked: Callable[..., list[int]]
) -> None:
    sweep = (
        "-m",
        "seed=0,1,2",
        "trainer.max_epochs=1",
        "method=kl",
        "data.batch_size=60",
        "hydra.sweep.dir=sweep",
        "resume=true",
    )
    asked(STEPS + 2)  # in the second job
    left = command(*sweep)
    assert left.code == 75 and "comparison" not in left.out and left.err.count("preempted: ") == 1
    states = [state_of(folder) for folder in (tmp_path / "sweep").iterdir() if folder.is_dir()]
    assert sorted(states) == [State.DONE, State.INTERRUPTED]  # and the third has not begun
    done = next((tmp_path / "sweep").glob("*/results.json"))
    when = done.stat().st_mtime_ns
    assert command(*sweep).code == 0
    assert len(list((tmp_path / "sweep").glob("*/results.json"))) == 3 and done.stat().st_mtime_ns == when


def test_filling_the_store_leaves_between_two_batches(
    zoo: dict[str, Path], command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KTLIGHT_CACHE", str(tmp_path / "cache"))
    answer, answered = stored.OutputStore._answer, []

    def slow(self: Any, wanted: Any, batch: Any) -> Any:
        answered.append(len(batch["label"]))
        if len(answered) == 6:  # in the first of three batches of test images
            os.kill(HERE, signal.SIGTERM)
        return answer(self, wanted, batch)

    monkeypatch.setattr(stored.OutputStore, "_answer", slow)
    fill = ("task=store", f"models=[{{name: test_vit, checkpoint: {zoo['test_vit']}}}]", "data.views=1", "store=fill")
    assert command(*fill, "hydra.run.dir=run", "data.batch_size=32").code == 75
    assert len(answered) == 6
    (partial,) = (tmp_path / "cache" / "store").glob("*.partial")  # and the next one goes on from there
    assert (partial / "progress.json").exists()
    assert command(*fill, "hydra.run.dir=run", "data.batch_size=32").code == 0
    assert not list((tmp_path / "cache" / "store").glob("*.partial"))


def test_a_call_from_python_leaves_too_and_gives_the_handlers_back(
    tmp_path: Path, asked: Callable[..., list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    got: list[int] = []
    former = signal.signal(signal.SIGTERM, lambda number, frame: got.append(number))
    try:
        student, teacher = tiny.classifier().network, tiny.classifier(1).network
        asked(3)
        before = process()
        data = [(image, label) for image, label in zip(*_digits(), strict=True)]
        with pytest.raises(Preempted, match="before the first checkpoint"):
            ktlight.transfer(
                student, teacher, data, data, method="kl", epochs=2,
                folder=tmp_path / "run", overrides=["trainer=cpu", "data.batch_size=8"],
            )  # fmt: skip
        assert got == [signal.SIGTERM]
        assert before.differences(process()) == []
    finally:
        signal.signal(signal.SIGTERM, former)


def _digits() -> tuple[list[Any], list[int]]:
    table = tiny.dataset().train
    assert table is not None
    return [table.image(row).float() for row in range(len(table))], [int(label) for label in table.labels]


def test_lightning_sets_no_handlers_even_under_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {"SLURM_JOB_ID": "1", "SLURM_NTASKS": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0",
                 "SLURM_JOB_NAME": "run", "SLURM_NODEID": "0"}  # fmt: skip
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    before = [signal.getsignal(number) for number in SIGNALS]
    trainer = build_trainer(tiny.config().trainer)
    trainer._signal_connector.register_signal_handlers()
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_an_error_after_the_request_is_a_consequence_of_it() -> None:
    """Schedulers end processes that load images at the same time."""
    with pytest.raises(RuntimeError), nothing_but_leaving():
        raise RuntimeError("DataLoader worker (pid 1) is killed by signal: Terminated")
    with leaving_when_asked():
        os.kill(HERE, signal.SIGTERM)
    with pytest.raises(Preempted), nothing_but_leaving():
        raise RuntimeError("DataLoader worker (pid 1) is killed by signal: Terminated")
    with pytest.raises(UserError), nothing_but_leaving():
        raise UserError("no")


def test_two_processes_leave_at_the_same_step(zoo: dict[str, Path], tmp_path: Path) -> None:
    options = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "data.batch_size=12", "page.images=false")
    more = ("trainer.max_epochs=500", "trainer.checkpoint_every_seconds=0", f"hydra.run.dir={tmp_path}/run")
    files = [tmp_path / f"{rank}.txt" for rank in range(2)]
    first, second = (
        run_forked(*options, *more, printed=file, **environment)
        for file, environment in zip(files, world(2), strict=True)
    )
    checkpoint = tmp_path / "run" / "checkpoints" / "last.ckpt"
    while not checkpoint.exists():
        assert first.is_alive() and second.is_alive(), files[0].read_text()
        time.sleep(0.01)
    assert first.pid
    os.kill(first.pid, signal.SIGTERM)  # only one of the two is asked
    first.join(600)
    second.join(600)
    printed = "".join(file.read_text() for file in files)
    assert first.exitcode == 75 and printed.count("preempted: ") == 1 and "Traceback" not in printed, printed
    assert second.exitcode == 0 and state_of(tmp_path / "run") == State.INTERRUPTED


def test_the_command_line_forgets_an_earlier_request(zoo: dict[str, Path], tmp_path: Path) -> None:
    with leaving_when_asked():
        os.kill(HERE, signal.SIGTERM)
    assert run_here("task=evaluate", "student=test_vit", f"hydra.run.dir={tmp_path}/run") == 0
