"""Reading finished runs, for sweeps and for tables over many runs."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from ktlight.report.schema import problem


class Finished(NamedTuple):
    """A finished run: its folder, and its results as in `ktlight.report.schema`."""

    folder: Path
    results: dict[str, Any]


class Unreadable(NamedTuple):
    """A folder with an unusable ``results.json``, and the reason."""

    folder: Path
    reason: str

    def __str__(self) -> str:
        return f"left out {self.folder}: {self.reason}"


def read_runs(folders: Iterable[Path]) -> tuple[list[Finished], list[Unreadable]]:
    """Return the finished runs anywhere below the folders, sorted by path, and those that cannot be read.

    Earlier runs (``previous-N``) are skipped, unless given by name.
    """
    files: dict[Path, None] = {}
    for folder in folders:
        found = (file.parent for file in sorted(folder.rglob("results.json")))
        files |= dict.fromkeys(path for path in found if not _set_aside(path.relative_to(folder)))
    names: dict[tuple[str, ...], list[str]] = {}
    runs = [_read(folder, names) for folder in files]
    return [run for run in runs if isinstance(run, Finished)], [run for run in runs if isinstance(run, Unreadable)]


def _set_aside(path: Path) -> bool:
    return any(part.startswith("previous-") for part in path.parts)


def _read(folder: Path, names: dict[tuple[str, ...], list[str]]) -> Finished | Unreadable:
    """Read one run; those of the same class names share them (``names``): in each of many runs they fill the memory."""
    try:
        results = json.loads((folder / "results.json").read_text())
    except OSError as error:
        return Unreadable(folder, f"its results.json cannot be read ({error.strerror})")
    except ValueError:
        return Unreadable(folder, "its results.json is no JSON")
    if reason := problem(results):
        return Unreadable(folder, reason)
    if "class_names" in results:
        listed = results["class_names"]
        results["class_names"] = names.setdefault(tuple(listed), listed)
    return Finished(folder, results)
