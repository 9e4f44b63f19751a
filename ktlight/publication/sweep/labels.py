"""What a method is called among others: its name, with all that makes its runs another method."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ktlight.publication.sweep.rows import Row, read
from ktlight.report.settings import short_names

OF_MODELS = ("student.", "teacher.")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)


def method_labels(rows: Sequence[Row]) -> list[str]:
    """Return the method of each row, with the options in which runs of that method on the same samples differ.

    Always told, where they are not the default: ``part=head``, the schedule of several teachers, a router other than
    the method's own, the guard. Options of a model count only where they differ for one pair: otherwise the model
    explains them.

    >>> row = {"samples": "digits", "base_method": "kl", "teacher": "a", "student": "b", "teachers": 1, "part": "all",
    ...        "schedule": "parallel", "router": None, "guard": "off", "options": '{"optim.lr": "0.1"}'}
    >>> method_labels([row, row | {"options": '{"optim.lr": "0.2"}', "part": "head"}])
    ['kl', 'kl part=head']
    >>> method_labels([row, row | {"options": '{"optim.lr": "0.2"}', "guard": "wise"}, row | {"options": None}])
    ['kl lr=0.1', 'kl lr=0.2 guard=wise', 'kl']
    >>> method_labels([row | {"options": f'{{"optim.lr": "{rate}"}}'} for rate in ("3e-4", "0.0003", "1e-3")])
    ['kl lr=0.0003', 'kl lr=0.0003', 'kl lr=0.001']
    """
    alike: dict[tuple[Any, ...], list[int]] = {}
    for number, row in enumerate(rows):
        several = row["schedule"] if row["teachers"] > 1 else None
        alike.setdefault((row["samples"], row["base_method"], row["part"], several), []).append(number)
    labels = [""] * len(rows)
    for members in alike.values():
        options = {number: _spelled(read(rows[number]["options"])) for number in members}
        names = dict.fromkeys(name for each in options.values() for name in each)
        differing = [name for name in names if _differs(name, [(rows[n], options[n]) for n in members])]
        short = short_names([*differing, "transfer.part", "schedule", "router", "guard"])
        for number in members:
            told = [f"{short[name]}={options[number][name]}" for name in differing if name in options[number]]
            labels[number] = _label(rows[number], told)
    return labels


def without_guard(method: str) -> str:
    """Return the method of the same trainings measured before their guard.

    >>> without_guard("kl_dp lr=0.1 guard=wise")
    'kl_dp lr=0.1'
    """
    return method.partition(" guard=")[0]


def _spelled(options: Mapping[str, str]) -> dict[str, str]:
    """Return the options with numbers spelled one way, however they were typed."""
    return {name: f"{float(value):.12g}" if NUMBER.fullmatch(value) else value for name, value in options.items()}


def _label(row: Row, options: Sequence[str]) -> str:
    parts = [
        row["base_method"],
        *([f"part={row['part']}"] if row["part"] != "all" else []),
        *([f"schedule={row['schedule']}"] if row["teachers"] > 1 else []),
        *([f"router={row['router']}"] if row["router"] else []),
        *options,
        *([f"guard={row['guard']}"] if row["guard"] != "off" else []),
    ]
    return " ".join(parts)


def _differs(option: str, runs: Iterable[tuple[Row, Mapping[str, str]]]) -> bool:
    values: dict[Any, set[str | None]] = {}
    for row, options in runs:
        if option.startswith("guard.") and row["guard"] == "off":
            continue
        pair = (row["teacher"], row["student"]) if option.startswith(OF_MODELS) else None
        values.setdefault(pair, set()).add(options.get(option))
    return any(len(each) > 1 for each in values.values())
