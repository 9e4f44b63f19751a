"""A run that fails leaves the reason in its folder, by what a sweep is to make of it."""

import errno
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny
import torch
from conftest import Command
from filelock import FileLock

from ktlight.errors import NotFinite, NotWritten, OutOfMemory, Preempted, UserError
from ktlight.report.failure import FAILURE, read_failure, write_failure
from ktlight.report.folder import RunFolder
from ktlight.report.state import State, state_of
from ktlight.tasks import evaluate
from ktlight.training.failing import errors_to_mend, failure_noted
from ktlight.training.record import opened

EVALUATE = ("task=evaluate", "student=test_vit", "store=off", "hydra.run.dir=run")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError(), OutOfMemory),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), OutOfMemory),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"), OutOfMemory),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), OutOfMemory),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), OutOfMemory),
        (OSError(errno.ENOSPC, "No space left on device"), NotWritten),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), NotWritten),
        (OSError(errno.ESTALE, "Stale file handle", "/data/a"), NotWritten),
        (OSError(errno.EIO, "Input/output error"), NotWritten),
    ],
)
def test_errors_of_the_machine_are_classed(error: Exception, kind: type[UserError]) -> None:
    with pytest.raises(kind) as raised, errors_to_mend():
        raise error
    assert raised.value.__cause__ is error and "resume=true" in str(raised.value)


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), OSError(errno.ENOENT, "No such file"), KeyError("a")])
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, errors_to_mend():
        raise error
    assert raised.value is error


def test_the_kind_and_the_number_of_attempts_are_kept(tmp_path: Path) -> None:
    for attempt in (1, 2):
        with pytest.raises(NotFinite), failure_noted(tmp_path):
            raise NotFinite("training diverged")
        failure = read_failure(tmp_path)
        assert failure and (failure.kind, failure.attempts) == ("not finite", attempt)
        assert failure.message == "training diverged" and failure.traceback is None


@pytest.mark.parametrize("stop", [Preempted, KeyboardInterrupt])
def test_a_run_that_was_stopped_has_not_failed(tmp_path: Path, stop: type[BaseException]) -> None:
    with pytest.raises(stop), failure_noted(tmp_path):
        raise stop
    assert not (tmp_path / FAILURE).exists()


def test_a_finished_run_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(UserError), failure_noted(tmp_path):
        raise UserError("no")
    assert not (tmp_path / FAILURE).exists()


def test_nothing_is_written_where_a_run_is_refused(tmp_path: Path) -> None:
    config = tiny.config()
    running = FileLock(tmp_path / "running" / ".lock")
    (tmp_path / "running").mkdir()
    with running, pytest.raises(UserError, match="another process"), opened(config, tmp_path / "running", "folder="):
        pass
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("")
    with pytest.raises(UserError, match="holds notes"), opened(config, tmp_path / "mine", "folder="):
        pass
    assert not list(tmp_path.rglob(FAILURE))


def test_only_the_first_process_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ktlight.training.failing.is_first_process", lambda: False)
    with pytest.raises(UserError), failure_noted(tmp_path):
        raise UserError("no")
    assert not list(tmp_path.iterdir())


def test_the_next_run_drops_the_reason_or_sets_it_aside(tmp_path: Path) -> None:
    write_failure(tmp_path, "user", "no")
    assert RunFolder(tmp_path).set_aside() is None and not (tmp_path / FAILURE).exists()
    write_failure(tmp_path, "user", "no")
    (tmp_path / "predictions.parquet").write_text("")
    aside = RunFolder(tmp_path).set_aside()
    assert aside and (aside / FAILURE).exists() and not (tmp_path / FAILURE).exists()


@pytest.fixture
def defect(zoo: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    def fail(*given: object) -> None:
        raise KeyError("a defect\nof two lines")

    with monkeypatch.context() as patch:
        patch.setattr(evaluate, "answers", fail)
        yield patch


def test_a_defect_is_one_line_and_its_traceback_is_kept(
    command: Command, tmp_path: Path, defect: pytest.MonkeyPatch
) -> None:
    ended = command(*EVALUATE)
    assert ended.code == 1 and "Traceback" not in ended.out + ended.err
    (line,) = ended.err.strip().splitlines()
    assert line.startswith("error: KeyError: ") and "defect of ktlight" in line and "failure.json" in line
    failure = read_failure(tmp_path / "run")
    assert failure and failure.kind == "unexpected" and failure.traceback and "in fail" in failure.traceback
    assert state_of(tmp_path / "run") == State.FAILED

    defect.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(KeyError):
        command(*EVALUATE, "resume=true")
    attempts = read_failure(tmp_path / "run")
    assert attempts and attempts.attempts == 2


def test_a_defect_of_one_job_leaves_the_others(command: Command, tmp_path: Path, defect: pytest.MonkeyPatch) -> None:
    ended = command("-m", *EVALUATE[:3], "seed=0,1", "hydra.sweep.dir=sweep")
    assert ended.code == 1 and "Traceback" not in ended.out + ended.err and ended.err.count("KeyError") == 4
    assert "error: 2 of the 2 jobs failed" in ended.err and len(list(tmp_path.glob(f"sweep/*/{FAILURE}"))) == 2


def test_a_run_that_ends_well_in_the_end_has_not_failed(
    zoo: dict[str, Path], command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(evaluate, "answers", lambda *given: (_ for _ in ()).throw(MemoryError()))
        assert command(*EVALUATE).code == 1
    assert json.loads((tmp_path / "run" / FAILURE).read_text())["kind"] == "memory"
    ended = command(*EVALUATE, "resume=true")
    assert ended.code == 0, ended.err
    assert state_of(tmp_path / "run") == State.DONE and not (tmp_path / "run" / FAILURE).exists()
