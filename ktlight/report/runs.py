"""The one reader of finished runs, for sweeps and for tables over many of them."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from ktlight.report.schema import problem


class Finished(NamedTuple):
    """A finished run: its folder, and its results as `ktlight.report.schema` describes them."""

    folder: Path
    results: dict[str, Any]


class Unreadable(NamedTuple):
    """A folder with a ``results.json`` that cannot be used, and why."""

    folder: Path
    reason: str

    def __str__(self) -> str:
        return f"left out {self.folder}: {self.reason}"


def read_runs(folders: Iterable[Path]) -> tuple[list[Finished], list[Unreadable]]:
    """Return the finished runs anywhere below the folders, in order of their paths, and those that cannot be read.

    What was set aside (``previous-N``) is left out, unless it is asked for by name.
    """
    files: dict[Path, None] = {}
    for folder in folders:
        found = (file.parent for file in sorted(folder.rglob("results.json")))
        files |= dict.fromkeys(path for path in found if not _set_aside(path.relative_to(folder)))
    runs = [_read(folder) for folder in files]
    return [run for run in runs if isinstance(run, Finished)], [run for run in runs if isinstance(run, Unreadable)]


def _set_aside(path: Path) -> bool:
    return any(part.startswith("previous-") for part in path.parts)


def _read(folder: Path) -> Finished | Unreadable:
    try:
        results = json.loads((folder / "results.json").read_text())
    except OSError as error:
        return Unreadable(folder, f"its results.json cannot be read ({error.strerror})")
    except ValueError:
        return Unreadable(folder, "its results.json is no JSON")
    reason = problem(results)
    return Unreadable(folder, reason) if reason else Finished(folder, results)
