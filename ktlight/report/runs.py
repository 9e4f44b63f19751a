"""Reading finished runs, for sweeps and for tables over many runs."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ktlight.errors import UserError
from ktlight.report.schema import problem


class Finished(NamedTuple):
    """A finished run: its folder, and its results as in `ktlight.report.schema`."""

    folder: Path
    results: dict[str, Any]


class Unreadable(NamedTuple):
    """A folder with an unusable ``results.json``, or a csv file that is no table of runs, and the reason."""

    folder: Path
    reason: str

    def __str__(self) -> str:
        return f"left out {self.folder}: {self.reason}"


def folders_of(patterns: str | Sequence[str], typed: str = "runs=") -> list[Path]:
    """Return the folders that patterns name, without those inside another; ``runs/**`` is all below ``runs``.

    Args:
        patterns: One or several.
        typed: What the user typed before them.

    Raises:
        UserError: If one names nothing, or no folder.
    """
    found: set[Path] = set()
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        folders = [path for path in _matching(pattern) if path.is_dir()]
        if not folders:
            raise UserError(
                f"{typed}{pattern}: there is no such folder. Give folders with runs, as in '{typed}runs/**'"
            )
        found.update(folders)
    return sorted(folder for folder in found if not found.intersection(folder.parents))


def folders_and_tables_of(patterns: Sequence[str]) -> tuple[list[Path], list[Path]]:
    """Return the folders that patterns name, as `folders_of` does, and the csv files, sorted.

    Raises:
        UserError: If one names neither.
    """
    matching = {pattern: _matching(pattern) for pattern in patterns}
    tables = {path for paths in matching.values() for path in paths if path.suffix == ".csv" and path.is_file()}
    others = [
        pattern
        for pattern, paths in matching.items()
        if tables.isdisjoint(paths) or any(path.is_dir() for path in paths)
    ]
    if absent := [pattern for pattern in others if pattern.endswith(".csv") and not matching[pattern]]:
        raise UserError(
            f"runs={absent[0]}: there is no such file. Give tables/runs.csv of a report, or folders of runs"
        )
    return folders_of(others), sorted(tables)


def _matching(pattern: str) -> list[Path]:
    base = Path(pattern.removesuffix("/**"))
    start = Path(base.anchor)
    return list(start.glob(str(base.relative_to(start))))


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
