"""The table of runs that an earlier report wrote, ``tables/runs.csv``, read again."""

import csv
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from ktlight.errors import UserError
from ktlight.publication.sweep.rows import COLUMNS, LATER, UNKNOWN, Row

NAMED = 5
"""Of many columns that are missing, so many are named."""


def saved_rows(file: Path) -> list[Row]:
    """Return the rows of a table of runs, as `ktlight.publication.sweep.rows.rows_of` made them.

    Raises:
        UserError: If the file cannot be read or is another table, or a cell is broken.
    """
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, strict=True)
            if missing := [name for name in COLUMNS if name not in {*LATER, *(reader.fieldnames or ())}]:
                raise UserError(f"it is no table of runs, as a report's tables/runs.csv is: it lacks {_few(missing)}")
            return [_row(cells, reader.line_num) for cells in reader]
    except OSError as error:
        raise UserError(f"it cannot be read ({error.strerror})") from error
    except (ValueError, csv.Error) as error:
        raise UserError(f"it is no csv file ({error})") from error


def _row(cells: Mapping[Any, Any], line: int) -> Row:
    if None in cells or None in cells.values():
        raise UserError(f"its line {line} has {'more' if None in cells else 'fewer'} cells than there are columns")
    return {name: _cell(cells.get(name, ""), name, line) for name in COLUMNS}


def _cell(text: str, name: str, line: int) -> Any:
    if not text:
        if name in UNKNOWN:
            return None
        raise UserError(f"its line {line} has no {name}")
    kind = COLUMNS[name]
    try:
        value = kind(float(text)) if kind is int else kind(text)
    except (ValueError, OverflowError):
        value = None
    if value is None or (kind is float and not isfinite(value)) or (kind is int and value != float(text)):
        raise UserError(f"its line {line} has {name}={text!r}, which is no {'whole ' * (kind is int)}number")
    return value


def _few(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"the column{'s' * (len(names) > 1)} {', '.join(names[:NAMED])}{more}"
