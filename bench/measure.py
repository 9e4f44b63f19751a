"""Timings, their ratios within one run, and their output as a table or JSON object."""

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from rich.table import Table

from bench.machine import describe
from ktlight.report.table import console_for_tables

LEAST_ROUNDS = 3


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        name: The variant.
        milliseconds: Median over the rounds; None if not measured.
        ratio: Median over the rounds of its time over that of ``against`` in the same round.
        target: Target for the ratio, such as ``<= 1.05``.
        met: Whether the target was met.
        against: The variants that the ratio compares with.
        note: A remark, such as why it was not measured.
    """

    name: str
    milliseconds: float | None
    ratio: float | None = None
    target: str | None = None
    met: bool | None = None
    against: str = ""
    note: str = ""


class Timings:
    """Seconds of each variant in each round; times in one round are measured close together, so ratios are fair."""

    def __init__(self, seconds: Mapping[str, Sequence[float]]) -> None:
        self.seconds = seconds

    def ratio(self, name: str, *against: str) -> float:
        """Return the median over the rounds of the time of ``name`` over the summed times of ``against``."""
        references = zip(*(self.seconds[other] for other in against), strict=True)
        return median(own / sum(reference) for own, reference in zip(self.seconds[name], references, strict=True))

    def row(
        self, name: str, *against: str, at_most: float | None = None, at_least: float | None = None, note: str = ""
    ) -> Row:
        """Return the row of a variant, with its ratio and whether that meets its target."""
        milliseconds = 1000 * median(self.seconds[name])
        if not against:
            return Row(name, milliseconds, note=note)
        ratio = self.ratio(name, *against)
        target = f"<= {at_most:g}" if at_most is not None else f">= {at_least:g}" if at_least is not None else None
        met = None if target is None else ratio <= at_most if at_most is not None else ratio >= (at_least or 0)
        return Row(name, milliseconds, ratio, target, met, " + ".join(against), note)


def take_turns(variants: Mapping[str, Callable[[], float]], seconds: float, least: int = LEAST_ROUNDS) -> Timings:
    """Run the variants in turn, A B C A B C ..., until time is up and at least ``least`` rounds are done."""
    times: dict[str, list[float]] = {name: [] for name in variants}
    started = time.perf_counter()
    while time.perf_counter() - started < seconds or len(next(iter(times.values()))) < least:
        for name, run in variants.items():
            times[name].append(run())
    return Timings(times)


def warmed_up(variants: Mapping[str, Callable[[], float]], options: argparse.Namespace) -> Timings:
    """Run the variants in turn as the options say, after one warm-up round; with ``--quick`` run one round only."""
    if options.quick:
        return take_turns(variants, 0, least=1)
    take_turns(variants, 0, least=1)
    return take_turns(variants, options.seconds)


def timed(run: Callable[[], object]) -> Callable[[], float]:
    """Return a variant that times the whole call."""

    def variant() -> float:
        started = time.perf_counter()
        run()
        return time.perf_counter() - started

    return variant


def arguments(description: str, seconds: float) -> argparse.ArgumentParser:
    """Return the parser with the options of every benchmark."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seconds", type=float, default=seconds, help="how long the variants take turns")
    parser.add_argument("--quick", action="store_true", help="the smallest setting, to see that it runs")
    parser.add_argument("--json", nargs="?", const="-", metavar="FILE", help="write one object to FILE, or print it")
    return parser


def finish(options: argparse.Namespace, title: str, rows: Sequence[Row]) -> None:
    """Print the table, or write the JSON object as ``--json`` says."""
    if options.json != "-":
        print_table(title, rows)
    if options.json:
        text = json.dumps({"title": title, "machine": describe(), "rows": [asdict(row) for row in rows]}, indent=2)
        if options.json == "-":
            print(text)
        else:
            Path(options.json).write_text(text + "\n")


def print_table(title: str, rows: Sequence[Row]) -> None:
    """Print the rows."""
    table = Table(title=f"{title}\n{describe()}")
    table.add_column("variant")
    for name in ("ms", "ratio"):
        table.add_column(name, justify="right")
    for name in ("against", "target", ""):
        table.add_column(name)
    for row in rows:
        verdict = "" if row.met is None else "met" if row.met else "missed"
        time_text = "-" if row.milliseconds is None else f"{row.milliseconds:.2f}"
        ratio = "" if row.ratio is None else f"{row.ratio:.3f}"
        table.add_row(row.name, time_text, ratio, row.against, row.target or "", f"{verdict} {row.note}".strip())
    console_for_tables().print(table)
