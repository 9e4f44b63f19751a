"""What all figures share: colours, sizes, reference lines, and scatters that can be drawn of any number of points."""

from collections.abc import Sequence
from typing import Any, Final

import altair as alt

from ktlight.publication.draw import COLOURS

DIVERGING: Final = "blueorange"
SEQUENTIAL: Final = "viridis"
WIDTH, HEIGHT = 560, 320
MANY = 5000
"""More points than this are counted in bins: single ones could not be told apart, and the file would be megabytes."""
BINS = 60


def chart(columns: Any, *names: str) -> Any:
    """Return a chart of some columns of a table (pandas or pyarrow) or of a mapping of lists."""
    if isinstance(columns, dict):
        rows = [dict(zip(names, row, strict=True)) for row in zip(*(columns[name] for name in names), strict=True)]
        return alt.Chart(alt.InlineData(values=rows))
    selected = columns.select(list(dict.fromkeys(names))) if hasattr(columns, "select") else columns[list(names)]
    return alt.Chart(selected)


def length(columns: Any) -> int:
    """Return the number of rows of such a table."""
    return len(next(iter(columns.values()))) if isinstance(columns, dict) else len(columns)


def scatter(columns: Any, x: alt.X, y: alt.Y, names: Sequence[str], colour: Any = None) -> Any:
    """Return a scatter plot; above `MANY` points, their number in each bin.

    Args:
        columns: The table.
        x: The first axis.
        y: The second axis.
        names: Names of the columns that are used.
        colour: Encoding of a category; dropped where points are counted, for then colour shows the count.
    """
    if length(columns) > MANY:
        bins = alt.Bin(maxbins=BINS)
        return (
            chart(columns, *names)
            .mark_rect()
            .encode(
                x=x.bin(bins),
                y=y.bin(bins),
                color=alt.Color("count()", scale=alt.Scale(scheme=SEQUENTIAL, type="log"), title="number"),
            )
        )
    points = chart(columns, *names).mark_circle(size=28, opacity=0.75).encode(x=x, y=y)
    return points if colour is None else points.encode(color=colour)


def category(field: str, title: str, values: Sequence[str]) -> alt.Color:
    """Return the colour of a category, in the order given; more than seven repeat the colours."""
    colours = [COLOURS[number % len(COLOURS)] for number in range(len(values))]
    scale = alt.Scale(domain=list(values), range=colours)
    return alt.Color(f"{field}:N", scale=scale, title=title, sort=list(values))


def on_cell(field: str, most: float) -> Any:
    """Return the colour of a text on a cell of a diverging scale: white on its dark ends, near-black elsewhere."""
    dark = f"abs(datum.{field}) > {0.6 * most}"
    return alt.condition(dark, alt.value("#ffffff"), alt.value("#111111"))


def rule(*, x: float | None = None, y: float | None = None) -> Any:
    """Return a thin line at a value."""
    values = alt.InlineData(values=[{}])
    mark = alt.Chart(values).mark_rule(strokeDash=[4, 3], opacity=0.7)
    return mark.encode(x=alt.datum(x)) if x is not None else mark.encode(y=alt.datum(y))


def unique(columns: Any, name: str) -> list[Any]:
    """Return the different values of a column, in the order of their first row; None and NaN left out."""
    cells = columns[name]
    values = cells.to_pylist() if hasattr(cells, "to_pylist") else list(cells)
    return [value for value in dict.fromkeys(values) if value is not None and value == value]
