"""The tables of docs/results.md, written from docs/results/*.csv: `python -m bench.results`.

A block of the document holds a table of the report of these files, as the report writes it in Markdown:

    <!-- table: kinds; samples=tinyimagenet100*; teacher=all; columns=method,mean_delta,interval -->
    <!-- end -->

First comes the name of the table; ``column=pattern`` keeps rows, where ``*`` stands for any text, and
``column!=pattern`` leaves rows out; ``columns=`` chooses the columns, by default all that no pattern names. The column
``interval`` is from ``ci95_low`` to ``ci95_high``.
`--check` writes nothing, says which blocks differ, and exits with 1 if one does.
"""

import argparse
import re
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ktlight.publication.sweep.collection import collect
from ktlight.publication.sweep.publish import report_tables
from ktlight.publication.tables import markdown

DOCUMENT = Path(__file__).parent.parent / "docs" / "results.md"
BLOCK = re.compile(r"<!-- table: (?P<wanted>[^\n]*) -->\n(?P<held>.*?)<!-- end -->", re.S)


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("document", type=Path, nargs="?", default=DOCUMENT)
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 if a block differs")
    options = parser.parse_args(given)
    files = sorted(options.document.with_suffix("").glob("*.csv"))
    if not files:
        print(f"no csv files in {options.document.with_suffix('')}: nothing to do")
        return
    collection = collect([], files)
    if collection.left_out:
        sys.exit("\n".join(map(str, collection.left_out)))
    tables = report_tables(collection)
    text = options.document.read_text()
    if text.count("<!-- table: ") != len(BLOCK.findall(text)):
        sys.exit(f"{options.document}: a block has no <!-- end -->")
    changed = [each["wanted"] for each in BLOCK.finditer(text) if each["held"] != block(tables, each["wanted"])]
    for wanted in changed:
        print(f"{'differs' if options.check else 'written'}: {wanted}")
    if options.check:
        sys.exit(1 if changed else 0)
    options.document.write_text(BLOCK.sub(lambda each: _written(tables, each["wanted"]), text))


def block(tables: dict[str, Any], wanted: str) -> str:
    """Return what a block holds.

    Args:
        tables: Those of a report.
        wanted: What its comment asks for, after ``table:``.
    """
    name, *parts = (part.strip() for part in wanted.split(";"))
    chosen = dict(part.split("=", 1) for part in parts)
    columns = chosen.pop("columns", "")
    try:
        table = tables[name]
        if "ci95_low" in table:
            ends = table[["ci95_low", "ci95_high"]].to_numpy()
            table = table.assign(interval=[_interval(low, high) for low, high in ends])
        for column, pattern in chosen.items():
            matching = not column.endswith("!")
            cells = table[column.removesuffix("!")]
            table = table[[fnmatchcase(str(cell), pattern) == matching for cell in cells]]
        names = columns.split(",") if columns else [each for each in table if each not in (*chosen, "interval")]
        table = table[names]
    except KeyError as error:
        sys.exit(f"<!-- table: {wanted} -->: there is no {error.args[0]}")
    if not len(table):
        sys.exit(f"<!-- table: {wanted} -->: no row is left")
    return markdown(table)


def _written(tables: dict[str, Any], wanted: str) -> str:
    return f"<!-- table: {wanted} -->\n{block(tables, wanted)}<!-- end -->"


def _interval(low: float, high: float) -> str | None:
    return f"{low:+.2f} to {high:+.2f}" if low == low else None


if __name__ == "__main__":
    main()
