"""Locks that die with their holder."""

import fcntl
import os
from pathlib import Path
from typing import IO


def take_lock(path: Path, wait: bool) -> IO[str] | None:
    """Lock a file, made if need be; `unlock` or the end of the process releases it.

    The holder may delete the file before it releases the lock: who waited for it then locks a new one.

    Args:
        path: The file.
        wait: Whether to wait for another process that holds the lock.

    Returns:
        The open file; None where another process holds the lock and ``wait`` is false.
    """
    while True:
        file = path.open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        except BlockingIOError:
            file.close()
            return None
        except FileNotFoundError:
            pass
        file.close()


def unlock(file: IO[str]) -> None:
    """Release the lock; closing the file would leave it to data workers, which inherited the file."""
    fcntl.flock(file, fcntl.LOCK_UN)
