"""Every figure is drawn as SVG, PDF and Vega, and shows the figures it was given."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from math import log, nan
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from ktlight.publication.draw import INK, pdf, specification, svg, vega
from ktlight.publication.figures import discovery, transfers
from ktlight.publication.figures.common import MANY
from ktlight.publication.sweep import correlations, statistics
from tests.publication.grid import table, write_grid


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    return statistics.pair_table(table(write_grid(tmp_path_factory.mktemp("grid"))))


FLIPS = {"difference": [-3.0, 0.0, 5.0], "positive_flips": [2.0, 3.0, 8.0], "flip_entropy": [5.0, 5.5, 6.0]}
RATES = {"method": ["kl"] * 4, "kind": ["cnn", "cnn", "mlp", "mlp"], "percent": [2, 5] * 2, "rate": [50.0, 40, 30, nan]}
STAGES = {"method": ["kl"] * 3, "stage": [1, 2, 3], "outcome": ["gain"] * 3, "percent": [1.0, 2.0, 3.0]}
CLASSES = {"pair": ["a, b"] * 3, "rank": [1, 2, 3], "positive_flips": [9, 4, 1]}
RELATED = {
    "percent": [2, 50],
    "similarity": ["weights"] * 2,
    "standardised": [1.3, 1.1],
    "low": [-0.1, 0],
    "high": [0.1, 0],
}
FIGURES: dict[str, Callable[[pd.DataFrame], Any]] = {
    "success": lambda p: transfers.success(statistics.student_table(p).assign(source="ours")),
    "success beside": lambda p: transfers.success(
        pd.concat([statistics.student_table(p).assign(source=name) for name in ("ours", "theirs")])
    ),
    "delta": lambda p: transfers.delta_against_difference(p, statistics.binned(p)),
    "rates": lambda p: transfers.top_class_rates(RATES),
    "size": lambda p: transfers.student_properties(p, "delta", "delta"),
    "correlations": lambda p: transfers.correlations(correlations.correlations(p)),
    "gain and loss": lambda p: transfers.gain_and_loss(p),
    "stages": lambda p: transfers.stages(STAGES),
    "schedules": lambda p: transfers.schedules(p),
    "by student": lambda p: transfers.by_student(statistics.student_table(p)),
    "map": lambda p: transfers.delta_map(p, ["a", "b", "c"]),
    "complementary knowledge": lambda p: discovery.complementary_knowledge(FLIPS),
    "entropy": lambda p: discovery.entropy(pa.table(FLIPS), 1000, FLIPS),
    "relatedness": lambda p: discovery.relatedness(RELATED),
    "classes": lambda p: discovery.class_histograms(CLASSES),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_drawn(name: str, pairs: pd.DataFrame) -> None:
    chart = FIGURES[name](pairs)
    drawn = svg(chart)
    ElementTree.fromstring(drawn)
    assert "http://www.w3.org" in drawn and "NaN" not in drawn and "<image" not in drawn
    assert drawn.count("<path") > 3
    assert pdf(chart).startswith(b"%PDF")
    assert "marks" in vega(chart) and vega(chart)["background"] == "transparent"


def test_texts_are_legible_on_light_and_dark(pairs: pd.DataFrame) -> None:
    drawn = ElementTree.fromstring(svg(FIGURES["gain and loss"](pairs)))
    assert {text.get("fill") for text in drawn.iter("{http://www.w3.org/2000/svg}text")} == {INK}
    assert all(contrast(INK, background) > 4 for background in ("#ffffff", "#181818"))


def contrast(first: str, second: str) -> float:
    """The contrast ratio of the Web Content Accessibility Guidelines."""
    lights = []
    for colour in (first, second):
        parts = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        lights.append(0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)
    return max(lights) / min(lights)


def test_the_boxes_are_over_students(pairs: pd.DataFrame) -> None:
    values = next(iter(specification(FIGURES["success"](pairs))["datasets"].values()))
    assert sorted((row["method"], row["success"]) for row in values) == [("kl", 50)] * 2 + [("kl_dp", 100)] * 2


def test_a_row_limit_does_not_exist_and_many_points_are_binned() -> None:
    rng = np.random.default_rng(0)
    few, many = (
        {"difference": rng.normal(size=count), "positive_flips": rng.uniform(0, 9, count)} for count in (MANY, MANY + 1)
    )
    drawn = {
        len(each["difference"]): svg(discovery.complementary_knowledge(pd.DataFrame(each))) for each in (few, many)
    }
    assert drawn[MANY].count("<path") > MANY
    assert drawn[MANY + 1].count("<path") < 2500 and len(drawn[MANY + 1]) < 500_000


def test_the_line_of_uniform_flips_is_at_the_logarithm_of_the_classes() -> None:
    rules = [
        layer for layer in specification(discovery.entropy(FLIPS, 1000))["layer"] if layer["mark"]["type"] == "rule"
    ]
    assert rules[0]["encoding"]["y"]["datum"] == log(1000)


def test_charts_are_drawn_without_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert svg(discovery.complementary_knowledge(FLIPS)).startswith("<svg")
