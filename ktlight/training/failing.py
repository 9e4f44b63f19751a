"""What becomes of a failure: machine errors in words, and the reason in the folder of the run."""

import errno
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ktlight.errors import DISK_FULL, NotWritten, OutOfMemory, Preempted, Refused, UserError
from ktlight.preemption import asked_to_leave
from ktlight.report.failure import write_failure
from ktlight.training.processes import is_first_process

UNREACHABLE = (errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EREMOTEIO)
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory", "alloc_failed")
"""What errors of CUDA, of torch on the processor, of the system, and of cuBLAS and cuDNN say, in small letters."""
UNEXPECTED = "unexpected"


@contextmanager
def errors_to_mend() -> Iterator[None]:
    """Turn errors of the machine into a `UserError` that says what to do.

    Raises:
        OutOfMemory: The memory of the device or of the machine is full.
        NotWritten: The disk is full, or its file system does not answer.
    """
    try:
        yield
    except (MemoryError, RuntimeError, OSError) as error:
        if isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in OUT_OF_MEMORY):
            raise OutOfMemory(
                "the memory is full: use a smaller data.batch_size (with trainer.accumulate_grad_batches, if the "
                "effective batch is to stay) or fewer teachers; with store=auto frozen models run once, one after the "
                "other. With resume=true the run goes on from its last checkpoint, if it had come to one."
            ) from error
        number = error.errno if isinstance(error, OSError) else None
        if number in DISK_FULL:
            raise NotWritten(
                f"no space left on the disk while writing {_file(error)}. What was complete is kept: "
                "make room and continue with resume=true."
            ) from error
        if number in UNREACHABLE:
            raise NotWritten(
                f"the file system does not answer for {_file(error)} ({error}). What was complete is kept: "
                "continue with resume=true once it does."
            ) from error
        raise


@contextmanager
def nothing_but_leaving() -> Iterator[None]:
    """Take an unexpected error after the request to leave for a consequence of it.

    Schedulers ask all processes of a job at once; those that only load data end without further ado, and are missed.

    Raises:
        Preempted: In place of the error; if it had another cause, the run will meet it again.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if asked_to_leave():
            raise Preempted from error
        raise


@contextmanager
def failure_noted(folder: Path) -> Iterator[None]:
    """Write why the run of a folder failed to ``failure.json`` there, unless the folder holds a finished run.

    The caller holds the folder's lock. An interrupted or preempted run has not failed.
    """
    try:
        yield
    except Refused:
        raise
    except Exception as error:
        if is_first_process() and not (folder / "results.json").exists():
            known = isinstance(error, UserError)
            kind = error.kind if isinstance(error, UserError) else UNEXPECTED
            shown = None if known else "".join(traceback.format_exception(error))
            with suppress(OSError):  # on a full disk the message on the screen must do
                write_failure(folder, kind, str(error) if known else in_a_line(error), shown)
        raise


def in_a_line(error: BaseException) -> str:
    """Return the type and the first line of the message of an unexpected error."""
    first = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _file(error: BaseException) -> str:
    return str(getattr(error, "filename", None) or "the run")
