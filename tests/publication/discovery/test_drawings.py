from pathlib import Path
from typing import Any, cast

import pytest

from ktlight.publication.discovery.drawings import discovery_drawings
from ktlight.publication.draw import specification
from ktlight.report.discovery import SCHEMAS, Discovery, write_table
from ktlight.report.discovery_facts import Facts

MODELS = {"strong": 80.0, "weak": 60.0, "chance": 10.0}


@pytest.fixture
def found(tmp_path: Path) -> Discovery:
    """A discovery of two models and a random one on ten samples of three classes."""
    pairs = [(t, s) for t in MODELS for s in MODELS if t != s]
    columns: dict[str, Any] = {field.name: [None] * len(pairs) for field in SCHEMAS["pairs"]}
    columns |= {
        "teacher": [t for t, _ in pairs],
        "student": [s for _, s in pairs],
        "acc_teacher": [MODELS[t] for t, _ in pairs],
        "acc_student": [MODELS[s] for _, s in pairs],
        "positive_flips": [max(0.0, MODELS[t] - MODELS[s]) + 5 for t, s in pairs],
        "flip_entropy": [0.5 if t != "chance" else 1.0 for t, _ in pairs],
    }
    write_table(tmp_path, "pairs", [columns])
    rows = [("strong", "weak", "a", 0, 2), ("strong", "weak", "b", 1, 7), ("weak", "strong", "c", 2, 1)]
    names = ("teacher", "student", "class", "class_index", "positive_flips")
    classes = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    write_table(tmp_path, "classes", [classes | {"expertise": [False] * 3}])
    top = {"mean": 0.5, "standardised": 1.5, "band95": [0.1, 0.3]}
    facts = {
        "labels": True, "baseline": "chance", "data": "digits", "num_eval": 10, "class_names": ["a", "b", "c"],
        "relatedness": {"weights": {"mean": 0.2, "deviation": 0.2, "top": {"2": top, "20": top}}},
    }  # fmt: skip
    return Discovery(tmp_path, cast(Facts, facts))


def shown(chart: Any, column: str) -> list[dict[str, Any]]:
    """Return the rows of a chart that have a column."""
    return next(rows for rows in specification(chart)["datasets"].values() if column in rows[0])


def test_the_figures_of_a_discovery(found: Discovery) -> None:
    drawn = {drawing.name: drawing for drawing in discovery_drawings(found)}
    assert list(drawn) == ["complementary_knowledge", "entropy", "relatedness", "class_histograms"]
    points = shown(drawn["complementary_knowledge"].chart, "positive_flips")
    assert {(row["difference"], row["positive_flips"]) for row in points} == {(20, 25), (-20, 5)}
    assert drawn["complementary_knowledge"].caption.startswith("2 ordered pairs")
    assert "randomly initialised" in drawn["entropy"].caption and "ln 3" in drawn["entropy"].caption


def test_histograms_are_sorted_and_whole(found: Discovery) -> None:
    drawn = {drawing.name: drawing.chart for drawing in discovery_drawings(found)}
    rows = shown(drawn["class_histograms"], "rank")
    flips: dict[str, list[int]] = {}
    for row in rows:
        flips.setdefault(row["pair"], []).append(row["positive_flips"])
    assert flips == {"strong to weak (+20.0 points)": [7, 2, 0], "weak to strong (-20.0 points)": [1, 0, 0]}


def test_the_band_of_relatedness_is_in_the_same_unit(found: Discovery) -> None:
    drawn = {drawing.name: drawing.chart for drawing in discovery_drawings(found)}
    rows = shown(drawn["relatedness"], "standardised")
    assert [(row["percent"], row["standardised"]) for row in rows] == [(2, 1.5), (20, 1.5)]
    assert rows[0]["low"] == pytest.approx(-0.5) and rows[0]["high"] == pytest.approx(0.5)


def test_without_labels_there_is_nothing_to_draw(found: Discovery) -> None:
    found.facts["labels"] = False
    assert not list(discovery_drawings(found))
