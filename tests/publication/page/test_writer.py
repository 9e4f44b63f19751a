"""The written file: its parts, its size, its data."""

import re
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from ktlight.publication.content import Page, PairMap, TableColumn
from ktlight.publication.page import write_page, writer
from ktlight.publication.page.writer import SCRIPTS, page_html
from tests.publication.page.made import CLASSES, made_map, made_page, unpacked


def test_what_scripts_read_comes_back() -> None:
    data = unpacked(page_html(made_page()), "pair-map")
    assert data["classes"] == CLASSES
    assert data["measures"][0]["values"] == [None, 40, 155, 90, None, 160, 55, 10, None]
    assert [each["unit"] for each in data["measures"]] == [
        0.1,
        1,
    ]  # flips are samples; the differences happen to be whole
    assert (data["classesKept"], data["topClasses"][:12]) == (3, [-1, -1, -1, 1, 2, -1, -1, -1, -1, 0, 1, 2])
    assert list(data["images"]) == ["4", "7"]  # the one that no example shows is left out
    (table,) = unpacked(page_html(made_page()), "tables")
    assert [column["cells"][16] for column in table["columns"]][3:] == [
        16_000_000,
        0.33,
        [-0.67, 1.33],
        ["run 16", "run-16/report.html"],
    ]
    assert [column["cells"][3] for column in table["columns"]][4:6] == [None, None]


def test_nothing_ends_a_script_early_and_drawings_keep_their_ids_apart() -> None:
    html = page_html(made_page())
    assert html.count("<script") == html.count("</script>") == 4
    assert "<b>others" not in html
    assert re.findall(r"url\(#(\S+?)\)", html) == re.findall(r'clipPath id="(\S+?)"', html)
    assert len(set(re.findall(r' id="(\S+?)"', html))) == len(re.findall(r' id="(\S+?)"', html))


def test_a_page_of_words_has_no_script() -> None:
    html = page_html(Page("Words", ["Only these."], provenance={"Config": "x"}))
    assert "<script" not in html
    assert len(html) < 60_000


def test_the_same_content_gives_the_same_file(tmp_path: Path) -> None:
    for name in ("first.html", "second.html"):
        write_page(made_page(), tmp_path / name)
    assert (tmp_path / "first.html").read_bytes() == (tmp_path / "second.html").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first.html", "second.html"]


def test_details_are_cut_to_the_size_and_the_page_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    counts = {(0, 1): [(int(number), 1) for number in rng.permutation(5000)]}
    many = replace(made_map(), top_classes=counts, classes=[str(number) for number in range(5000)], num_samples=0)
    crowded = replace(made_page(), pair_map=many)
    whole = page_html(crowded)
    assert unpacked(whole, "pair-map")["classesKept"] == 50
    assert "at most 50 classes are shown" in whole
    monkeypatch.setattr(writer, "LIMIT", len(whole) - 1)
    smaller = page_html(crowded)
    assert len(smaller) < len(whole)
    assert "at most 20 classes are shown" in smaller


def test_nothing_is_said_to_be_cut_where_all_classes_are_there() -> None:
    assert "classes are shown" in page_html(made_page())  # pair (0, 1) has 40 flips, and 36 in the classes given
    counts = {(0, 1): [(1, 30), (2, 6), (0, 4)], (1, 0): [(0, 80), (1, 5), (2, 5)]}
    assert "classes are shown" not in page_html(replace(made_page(), pair_map=replace(made_map(), top_classes=counts)))


def test_figures_that_are_no_numbers_are_empty() -> None:
    cells = [float("nan"), np.float32("inf"), None, np.float64(2.005)]
    page = Page(
        "x",
        [],
        tables={
            "T": [TableColumn("a", "A", "number", cells), TableColumn("b", "B", "count", [np.int64(3), None, 1.0, 2])]
        },
    )
    (table,) = unpacked(page_html(page), "tables")
    assert [column["cells"] for column in table["columns"]] == [[None, None, None, 2.0], [3, None, 1, 2]]


def test_two_models_without_any_details() -> None:
    pairs = PairMap([{"name": "a"}, {"name": "b"}], {"Any": np.zeros((2, 2), dtype=np.float32)})
    assert unpacked(page_html(Page("x", [], pairs)), "pair-map")["topClasses"] == []


def test_scripts_styles_and_the_library_are_data_of_the_package() -> None:
    folder = files("ktlight.publication.page")
    for name in (*(f"{script}.js" for script in SCRIPTS), "page.css", "pair_map.html"):
        assert folder.joinpath(name).is_file(), name
    library = folder.joinpath("vendor/tabulator")
    assert "Tabulator v6.5.3" in library.joinpath("tabulator.min.js").read_text()[:60]
    assert "MIT License" in library.joinpath("LICENSE").read_text()
    written = {path.name for path in folder.iterdir() if path.name.endswith(".js")}
    assert written == {f"{script}.js" for script in SCRIPTS}
