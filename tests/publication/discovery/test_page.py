"""The page of a discovery against loops over its predictions."""

from collections import Counter
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktlight.publication.content import POSITIVE_FLIPS
from ktlight.publication.discovery import tables
from ktlight.publication.discovery.map import discovery_map, listing, most_of_each
from ktlight.publication.discovery.page import discovery_page, figures, overview, write_discovery_page
from ktlight.report.discovery import Discovery
from tests.publication.discovered import NAMES, discovered


@pytest.fixture(scope="module")
def discovery(tmp_path_factory: pytest.TempPathFactory) -> Discovery:
    return discovered(tmp_path_factory.mktemp("discovery"))


def test_the_map_says_what_a_loop_over_the_predictions_says(discovery: Discovery) -> None:
    pairs = discovery_map(discovery)
    said = discovery.table("predictions").to_pydict()
    assert [model["name"] for model in pairs.models] == NAMES[:3]  # without the baseline
    for teacher, student in permutations(range(3), 2):
        flips = [
            place for place, label in enumerate(said["label"])
            if said[NAMES[teacher]][place] == label != said[NAMES[student]][place]
        ]  # fmt: skip
        counts = Counter(said["label"][place] for place in flips)
        assert pairs.measures[POSITIVE_FLIPS][teacher, student] == pytest.approx(100 * len(flips) / 1437)
        assert sorted(pairs.top_classes[teacher, student]) == sorted(counts.items())
        shown = [count for _, count in pairs.top_classes[teacher, student]]
        assert shown == sorted(shown, reverse=True)
        for example in pairs.examples[teacher, student]:
            place = said["index"].index(example["image"])
            assert place in flips and pairs.images[example["image"]].startswith("data:image/jpeg;base64,/9j/")
            assert example["label"] == said["label"][place]
            assert example["answer"] == said[NAMES[student]][place]
            odds = np.exp(said[f"{NAMES[teacher]}_confidence"][place])
            assert example["teacher_confidence"] == pytest.approx(100 * odds / (1 + odds))
        (remark,) = pairs.remarks[teacher, student]
        assert remark.startswith("A fifth of these samples is in ")
    difference = pairs.measures["Accuracy difference"]
    flips = pairs.measures[POSITIVE_FLIPS]
    assert difference == pytest.approx(flips - flips.T, abs=1e-4, nan_ok=True)


def test_the_pairs_to_try_are_links_into_the_map(discovery: Discovery) -> None:
    sentences = list(overview(discovery.facts))
    assert "[good → poor](#pair=good,poor)" in sentences[1]
    assert "[good → middling, b](#pair=good,middling%2C%20b)".replace("%2C", ",") in sentences[1]
    assert sum(sentence in sentences for sentence in discovery.facts["summary"]) == len(discovery.facts["summary"])


def test_tables(discovery: Discovery, monkeypatch: pytest.MonkeyPatch) -> None:
    found = tables.discovery_tables(discovery)
    assert list(found)[:3] == ["Table of pairs", "Models", "Models that complement each other"]
    models = {column.name: column.cells for column in found["Models"]}
    assert models["model"][-1] == "broken" and models["reason"][-1] == "no </script>"
    assert len(found["Table of pairs"][0].cells) == 12
    monkeypatch.setattr(tables, "ROWS", 5)
    (first, cells), *_ = tables.discovery_tables(discovery).items()
    assert first == "Table of pairs: the first 5 of 12"
    flips = next(column.cells for column in cells if column.name == "positive_flips")
    assert flips == sorted(discovery.table("pairs")["positive_flips"].to_pylist(), reverse=True)[:5]


def test_figures_and_page(discovery: Discovery) -> None:
    assert {figure.name for figure in figures(discovery)} >= {"complementary_knowledge", "entropy", "relatedness"}
    file = write_discovery_page(discovery.folder)
    assert file.stat().st_size < 500_000
    assert "What 3 models know on digits" in file.read_text()


def test_without_labels_there_is_agreement_only(tmp_path: Path) -> None:
    page = discovery_page(discovered(tmp_path, labels=False))
    assert page.pair_map is not None
    assert list(page.pair_map.measures) == ["Agreement", "Drift of the predicted classes"]
    assert not page.figures and not page.pair_map.top_classes and not page.pair_map.examples
    assert "Without labels" in page.overview[0]
    assert write_discovery_page(tmp_path).exists()


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9)), max_size=60), st.integers(1, 5))
def test_most_of_each_is_the_sorted_head_of_every_group(rows: list[tuple[int, int]], keep: int) -> None:
    group, count = (np.array([row[place] for row in rows], dtype=np.int64) for place in (0, 1))
    kept = most_of_each(group, count, keep)
    expected = [
        (number, most) for number in range(5)
        for most in sorted((most for of, most in rows if of == number), reverse=True)[:keep]
    ]  # fmt: skip
    assert list(zip(group[kept].tolist(), count[kept].tolist(), strict=True)) == expected


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a"], "a"),
        (["a", "b", "c"], "a, b and c"),
        (list("abcdefghi"), "a, b, c, d, e, f, g, h and i"),
        (list("abcdefghijk"), "a, b, c, d, e, f, g, h and 3 more"),
    ],
)
def test_a_list_in_words(words: list[str], said: str) -> None:
    assert listing(words) == said
