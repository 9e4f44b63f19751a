import csv
from pathlib import Path

import pandas as pd

from ktlight.publication.tables import latex, markdown, write_table

TABLE = pd.DataFrame(
    {
        "method_name": ["kl_dp lr=0.1 | x", "50% & $5 #1 {~^\\}\n<b>*y*</b>"],
        "mean": [1.23456, float("nan")],
        "n": [2, 13],
    }
)


def test_markdown_is_escaped_and_rounded() -> None:
    heading, line, first, second = markdown(TABLE).splitlines()
    assert heading == r"| method\_name | mean | n |" and line == "| --- | ---: | ---: |"
    assert first == r"| kl\_dp lr=0.1 \| x | 1.23 | 2 |"
    assert second == r"| 50% \& \$5 \#1 \{\~^\\\} \<b\>\*y\*\</b\> |  | 13 |"


def test_latex_is_escaped_and_rounded() -> None:
    text = latex(TABLE)
    assert text.count(r"\\") == 3 and "{lrr}" in text and r"method\_name & mean & n \\" in text
    assert r"kl\_dp lr=0.1 \textbar{} x & 1.23 & 2 \\" in text
    assert r"50\% \& \$5 \#1 \{\textasciitilde{}\textasciicircum{}\textbackslash{}\} \textless{}b" in text


def test_csv_has_all_digits(tmp_path: Path) -> None:
    write_table(TABLE, tmp_path / "tables", "some")
    with (tmp_path / "tables" / "some.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[0]["mean"]) == 1.23456 and rows[1]["method_name"] == TABLE["method_name"][1]
    assert {path.name for path in (tmp_path / "tables").iterdir()} == {"some.csv", "some.md", "some.tex"}
