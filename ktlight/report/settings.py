"""The options that distinguish the runs of a sweep, under their shortest unique names."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

FIELDS = ("method", "teacher", "student", "data", "seed")
"""Fields of the results with the same name as their option."""
IMPLIED = ("teachers", "experiment")
"""Options whose effect is mostly visible in others."""
UNSEEN = (
    "task", "resume", "hydra", "logger", "page", "launcher", "sweep", "trainer.progress",
    "trainer.checkpoint_every_seconds", "data.workers",
)  # fmt: skip
"""Options and groups that change no result."""

Settings = Mapping[str, str]
"""Values of options by their full names."""


class Setup(NamedTuple):
    """Runs that differ only in their seed, and their values of the other varying options."""

    values: dict[str, str]
    runs: list[Mapping[str, Any]]


def settings(run: Mapping[str, Any]) -> Settings:
    """Return the ``FIELDS`` of a run's results together with its other ``options``."""
    unseen = tuple(f"{name}." for name in UNSEEN)
    told = {name: value for name, value in run["options"].items() if not f"{name}.".startswith(unseen)}
    return {**{name: str(run[name]) for name in FIELDS}, **{k: v for k, v in told.items() if k not in FIELDS}}


def varying(runs: Sequence[Settings]) -> list[str]:
    """Return the names of the options that differ between runs, the well-known ones first."""
    names = [name for name in dict.fromkeys(name for run in runs for name in run) if _values(runs, [name]) > 1]
    for implied in IMPLIED:
        others = [name for name in names if name != implied]
        if implied in names and _values(runs, names) == _values(runs, others):
            names = others
    return names


def constant(runs: Sequence[Settings]) -> dict[str, str]:
    """Return the options that are the same for all runs."""
    return {name: value for name, value in runs[0].items() if name not in IMPLIED and _values(runs, [name]) == 1}


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Return the shortest unambiguous name of each option.

    >>> list(short_names(["method", "trainer.max_epochs", "optim.lr", "pretrain.optim.lr", "pretrain.seed"]).values())
    ['method', 'max_epochs', 'optim.lr', 'pretrain.optim.lr', 'pretrain.seed']
    """
    return {name: _short(name, {*FIELDS, *names} - {name}) for name in names}


def setups(runs: Sequence[Mapping[str, Any]]) -> list[Setup]:
    """Return the runs grouped by the varying options other than the seed."""
    told = [settings(run) for run in runs]
    names = [name for name in varying(told) if name != "seed"]
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for run, values in zip(runs, told, strict=True):
        groups.setdefault(tuple(values.get(name, "-") for name in names), []).append(run)
    return [Setup(dict(zip(names, values, strict=True)), group) for values, group in groups.items()]


def _values(runs: Sequence[Settings], names: Sequence[str]) -> int:
    return len({tuple(run.get(name) for name in names) for run in runs})


def _short(name: str, others: set[str]) -> str:
    parts = name.split(".")
    for count in range(1, len(parts)):
        end = ".".join(parts[-count:])
        if not any(other == end or other.endswith(f".{end}") for other in others):
            return end
    return name
