"""The figure of one run: what was measured after each epoch. Plain data: altair would take longer than the drawing."""

from collections.abc import Mapping, Sequence
from typing import Any

PANELS = {"loss": "training loss", "accuracy": "accuracy (%)", "share": "taught by teachers (%)"}
PANEL_WIDTH, PANEL_HEIGHT = 250, 190


def curves(rows: Mapping[str, Sequence[Any]], levels: Sequence[float]) -> dict[str, Any]:
    """Return loss, accuracy and shares against the epoch, side by side, as far as a run has them.

    Args:
        rows: Columns ``epoch``, ``panel`` (a key of `PANELS`), ``series`` and ``value``.
        levels: Accuracies to draw lines at, in percent.

    Returns:
        A Vega-Lite specification.
    """
    values = [dict(zip(rows, row, strict=True)) for row in zip(*rows.values(), strict=True)]
    of_panel = {panel: [each for each in values if each["panel"] == panel] for panel in PANELS}
    panels = [_panel(PANELS[panel], shown) for panel, shown in of_panel.items() if shown]
    for panel in panels:
        if panel["title"] == PANELS["accuracy"]:
            panel["layer"] += [{"mark": RULE, "encoding": {"y": {"datum": level}}} for level in levels]
    return {"hconcat": [{**panel, "title": None} for panel in panels], "resolve": {"scale": {"color": "independent"}}}


RULE = {"type": "rule", "strokeDash": [4, 3], "opacity": 0.7}


def _panel(title: str, values: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    series = list(dict.fromkeys(each["series"] for each in values))
    line = {
        "mark": {"type": "line", "point": True},
        "encoding": {
            "x": {
                "field": "epoch",
                "type": "quantitative",
                "title": "epoch",
                "axis": {"tickMinStep": 1, "format": "d"},
            },
            "y": {"field": "value", "type": "quantitative", "title": title, "scale": {"zero": False}},
            "color": {"field": "series", "type": "nominal", "title": None, "sort": series},
        },
    }
    return {"title": title, "data": {"values": values}, "layer": [line], "width": PANEL_WIDTH, "height": PANEL_HEIGHT}
