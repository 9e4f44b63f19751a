"""Why a run failed, kept in its folder until it is repeated."""

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from ktlight.report.files import write_text
from ktlight.report.secrets import redacted

FAILURE = "failure.json"
KINDS: Mapping[str, str] = {
    "user": "the input cannot work; it is not repeated",
    "not finite": "training diverged; it is not repeated, since it would again",
    "memory": "the memory was full; it is repeated alone",
    "input/output": "reading or writing failed; it is repeated",
    "unexpected": "a defect; it is not repeated",
}
"""What a sweep makes of each kind of failure."""


@dataclass(frozen=True)
class Failure:
    """The end of a run that failed.

    Attributes:
        kind: One of `KINDS`.
        message: One line that says what happened and what to do.
        attempts: How often the run has failed, this time included.
        traceback: Of an unexpected error.
        at: When, in ISO 8601, UTC.
        host: Name of the machine.
        process: Number of the process there.
    """

    kind: str
    message: str
    attempts: int = 1
    traceback: str | None = None
    at: str = ""
    host: str = ""
    process: int = 0


def write_failure(folder: Path, kind: str, message: str, traceback: str | None = None) -> Failure:
    """Write why the run of a folder failed, counting the attempts, and return it."""
    earlier = read_failure(folder)
    failure = Failure(
        kind,
        redacted(message),
        attempts=1 + (earlier.attempts if earlier else 0),
        traceback=None if traceback is None else redacted(traceback),
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        host=socket.gethostname(),
        process=os.getpid(),
    )
    write_text(folder / FAILURE, json.dumps(asdict(failure), indent=2) + "\n")
    return failure


def read_failure(folder: Path) -> Failure | None:
    """Return why the last attempt of a run failed; None if it did not, or the file is damaged."""
    try:
        failure = Failure(**json.loads((folder / FAILURE).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    whole = isinstance(failure.message, str) and isinstance(failure.attempts, int) and failure.kind in [*KINDS]
    return failure if whole else None
