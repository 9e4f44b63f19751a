"""Tables that fit the width of the terminal or log file."""

from collections.abc import Sequence
from textwrap import wrap
from typing import NamedTuple

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table


class Column(NamedTuple):
    """One column of a table.

    Attributes:
        name: Its heading.
        cells: Its text, one per row.
        spare: Columns with the highest value are dropped first when space is short; 0 means never.
        right: Whether to align it to the right, as numbers are.
        fold: Width beyond which a cell wraps to the next line; None means never, as for numbers.
    """

    name: str
    cells: Sequence[str]
    spare: int = 0
    right: bool = True
    fold: int | None = None


def console_for_tables() -> Console:
    """Return a console as wide as the terminal; without one, ``COLUMNS`` wide, 80 by default.

    Lines of text are not wrapped, so that paths and commands can be copied.
    """
    return Console(highlight=False, soft_wrap=True)


def fitted(columns: Sequence[Column], width: int) -> Table:
    """Return a table at most ``width`` characters wide, dropping the least important columns if necessary."""
    kept = list(columns)
    while needed(kept) > width and (spare := max(column.spare for column in kept)):
        kept = [column for column in kept if column.spare < spare]
    return _table(kept)


def said(console: Console, text: str, label: str = "") -> None:
    """Print text after a label, wrapped at words and indented to the label's width."""
    width = len(label)
    lines = wrap(text, max(20, console.width - width), break_long_words=False, break_on_hyphens=False)
    console.print(escape(label + f"\n{' ' * width}".join(lines)))


def plain(text: str) -> str:
    r"""Return text from a file without what a terminal would obey, on one line.

    >>> plain("done\x1b[2J\n"), plain("größer")
    ('done [2J ', 'größer')
    """
    return "".join(letter if letter.isprintable() else " " for letter in text)


def duration(seconds: float) -> str:
    """Return a length of time in the two units that matter.

    >>> [duration(seconds) for seconds in (0.4, 59.6, 754, 3600 * 27.5)]
    ['0 s', '1 min', '12 min 34 s', '1 d 3 h']
    """
    whole = round(seconds)
    parts = [(whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "min"), (whole % 60, "s")]
    first = next((place for place, (count, _) in enumerate(parts) if count), len(parts) - 1)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count) or "0 s"


def needed(columns: Sequence[Column]) -> int:
    """Return the preferred width of a table."""
    return Console(width=10_000).measure(_table(columns)).maximum


def aligned(intervals: Sequence[tuple[float, float] | None]) -> list[str]:
    """Return intervals as text of equal width, or a dash for None.

    >>> aligned([(-0.5, 1.25), (-12.0, 10.0), None])
    [' -0.50 to  +1.25', '-12.00 to +10.00', '-']
    """
    known = [interval for interval in intervals if interval]
    low, high = (max((len(f"{interval[end]:+.2f}") for interval in known), default=0) for end in (0, 1))
    return [f"{each[0]:+{low}.2f} to {each[1]:+{high}.2f}" if each else "-" for each in intervals]


def _table(columns: Sequence[Column]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for column in columns:
        table.add_column(
            escape(column.name), justify="right" if column.right else "left", overflow="fold",
            no_wrap=column.fold is None, max_width=column.fold,
        )  # fmt: skip
    for cells in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*(escape(plain(cell)) for cell in cells))
    return table
