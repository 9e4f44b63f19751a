"""Drawing a chart: the same specification as SVG, as PDF and as Vega, without a browser or the network."""

import json
import os
from typing import Any

from ktlight.errors import UserError

INK = "#797979"
"""Of texts and axes: its contrast is above 4 both on white and on the page's dark background."""
PRINTED = "#222222"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c8c8c")
"""Okabe and Ito's, which colour-blind people can tell apart, without yellow and black: legible on light and dark."""


_drawing: dict[str, int] = {}
"""The process that draws, once one does."""


def theme(ink: str) -> dict[str, Any]:
    """Return the look of all figures, as Vega-Lite's config."""
    text = {"labelColor": ink, "titleColor": ink, "labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": "normal"}
    return {
        "aria": False,  # the page describes a figure as a whole; descriptions of every mark double the file
        "background": "transparent",
        "range": {"category": list(COLOURS)},
        "font": "Helvetica, Arial, sans-serif",
        "view": {"stroke": None},
        "axis": {
            **text, "domainColor": ink, "tickColor": ink, "gridColor": ink, "gridOpacity": 0.18,
            "labelOverlap": "greedy", "labelSeparation": 8,
        },
        "legend": {
            **text, "labelLimit": 260, "orient": "bottom", "columns": 4, "symbolOpacity": 1,
            "symbolBaseStrokeColor": ink, "symbolBaseFillColor": ink,
        },
        "header": text,
        "title": {"color": ink},
        "rule": {"color": ink},
        "text": {"color": ink},
        "boxplot": {"median": {"color": ink}},
    }  # fmt: skip


def specification(chart: Any, ink: str = INK) -> dict[str, Any]:
    """Return the Vega-Lite specification of an altair chart, with its data; any number of rows.

    Args:
        chart: The chart; or a specification without config, for what every run draws: altair takes long to import.
        ink: Colour of texts and axes.
    """
    if isinstance(chart, dict):
        return {**chart, "config": theme(ink)}
    import altair as alt

    with alt.data_transformers.enable("default", max_rows=None):
        drawn: dict[str, Any] = chart.configure(**theme(ink)).to_dict(format="vega-lite")
    return drawn


def svg(chart: Any) -> str:
    """Return the chart as SVG text, legible on light and dark.

    Raises:
        UserError: Like the following, in a process that was forked from one that has drawn.
    """
    return str(_converter().vegalite_to_svg(specification(chart), allowed_base_urls=[]))


def pdf(chart: Any) -> bytes:
    """Return the chart as the bytes of a PDF for print."""
    return bytes(_converter().vegalite_to_pdf(specification(chart, PRINTED), allowed_base_urls=[]))


def vega(chart: Any) -> dict[str, Any]:
    """Return the chart as a Vega specification, which the editors of Vega and of W&B's custom charts take."""
    compiled = _converter().vegalite_to_vega(specification(chart))
    loaded: dict[str, Any] = json.loads(compiled) if isinstance(compiled, str) else compiled
    return loaded


def _converter() -> Any:
    """Return vl-convert, whose threads a fork leaves behind: the forked process would wait for them forever."""
    import vl_convert

    if _drawing.setdefault("process", os.getpid()) != os.getpid():
        raise UserError(
            "figures cannot be drawn in a process that was forked from one that has drawn some: start processes with "
            "multiprocessing's method 'spawn'"
        )
    return vl_convert
