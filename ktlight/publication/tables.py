"""Tables for spreadsheets, Markdown and LaTeX."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktlight.report.files import write_atomically, write_text

if TYPE_CHECKING:
    from pandas import DataFrame

LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}",
}  # fmt: skip
"""What stands for a character that means something to LaTeX, or that its oldest font encoding lacks."""
MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~$&])")


def write_table(table: "DataFrame", folder: Path, name: str) -> None:
    """Write a table as ``name.csv`` with all digits, and as ``name.md`` and ``name.tex`` with two decimals."""
    write_atomically(folder / f"{name}.csv", lambda file: table.to_csv(file, index=False))
    write_text(folder / f"{name}.md", markdown(table))
    write_text(folder / f"{name}.tex", latex(table))


def markdown(table: "DataFrame") -> str:
    """Return a table in Markdown (GitHub's), numbers to the right."""
    names, rows = list(table.columns), _cells(table, lambda text: MARKDOWN.sub(r"\\\1", text))
    line = ["---:" if _is_number(table[name]) else "---" for name in names]
    heading = [MARKDOWN.sub(r"\\\1", str(name)) for name in names]
    return "".join(f"| {' | '.join(row)} |\n" for row in (heading, line, *rows))


def latex(table: "DataFrame") -> str:
    """Return a table in LaTeX, as a ``tabular`` with the rules of the package booktabs, numbers to the right."""
    names, rows = list(table.columns), _cells(table, _latex)
    columns = "".join("r" if _is_number(table[name]) else "l" for name in names)
    body = "".join(f"{' & '.join(row)} \\\\\n" for row in rows)
    return (
        "% \\usepackage{booktabs}\n"
        f"\\begin{{tabular}}{{{columns}}}\n\\toprule\n"
        f"{' & '.join(_latex(str(name)) for name in names)} \\\\\n\\midrule\n{body}\\bottomrule\n\\end{{tabular}}\n"
    )


def _cells(table: "DataFrame", escaped: Callable[[str], str]) -> list[Sequence[str]]:
    columns = [[_text(cell, escaped) for cell in table[name].tolist()] for name in table.columns]
    return list(zip(*columns, strict=True))


def _text(cell: Any, escaped: Callable[[str], str]) -> str:
    if cell is None or cell != cell:
        return ""
    if isinstance(cell, float):
        return f"{cell:.2f}"
    return escaped(" ".join(str(cell).split()))


def _latex(text: str) -> str:
    return "".join(LATEX.get(character, character) for character in text)


def _is_number(column: Any) -> bool:
    return bool(column.dtype.kind in "iuf")
