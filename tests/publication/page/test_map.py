"""The pair map in a real browser: mouse, keyboard, link, what lies behind a pair."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ktlight.publication.content import Page
from ktlight.publication.page import write_page
from tests.publication.page.browser import opened
from tests.publication.page.made import made_map

ORDER = ["wide, deep", "small", "tall"]
"""By accuracy, as the map shows them."""


def test_opens_with_the_pair_of_most_flips_and_says_nothing(started: Any, page_file: Path) -> None:
    with opened(started, page_file) as page:
        assert page.texts("#pair-heading") == ["wide, deep → tall"]
        assert "wide, deep → tall: positive flips 16.00" in page.texts("#map-cell")[0]
        assert page.value("document.title") == "Models & <samples>"


def test_a_click_opens_a_pair_with_everything_behind_it(started: Any, page_file: Path) -> None:
    with opened(started, page_file) as page:
        click(page, "small", "wide, deep")
        assert page.texts("#pair-heading") == ["small → wide, deep"]
        body = page.texts("#pair-body")[0]
        assert "The teacher alone is right on 40 (4.00%) of the 1,000 samples, the student alone on 90 (9.00%)." in body
        assert "(40 − 90) / 1,000 = −5.00%, the difference between their accuracies, 70.00 and 75.00." in body
        assert page.texts(".histogram th") == ["</script><img src=x onerror=alert(1)>", "goldfish"]
        assert page.texts(".histogram td:last-child") == ["30", "6"]
        assert "These classes hold 36 of the 40 samples." in body
        assert "Related classes <hold> more of it than chance." in body
        assert page.texts(".examples .right")[1] == "goldfish (88%)"
        assert page.texts(".examples .wrong")[1] == "tench (52%)"
        assert page.value("[...document.querySelectorAll('.examples img')].map((image) => image.alt)[1]") == "goldfish"
        page.tab.click("#reverse")
        assert page.texts("#pair-heading") == ["wide, deep → small"]
        assert page.texts(".histogram th")[0] == "tench"


def test_the_keyboard_alone_opens_a_pair(started: Any, page_file: Path) -> None:
    with opened(started, page_file) as page:
        reach(page, "map")
        for key in ("Home", "PageUp", "ArrowDown", "ArrowRight", "ArrowRight"):
            page.tab.keyboard.press(key)
        assert page.texts("#map-cell") == ["small → tall: positive flips 15.50"]
        page.tab.keyboard.press("Enter")
        assert page.texts("#pair-heading") == ["small → tall"]
        assert page.value("document.getElementById('map-cell').getAttribute('aria-live')") == "polite"
        assert page.value("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_the_link_restores_pair_measure_and_order(started: Any, page_file: Path) -> None:
    with opened(started, page_file) as page:
        page.tab.select_option("#measure", "Accuracy difference")
        page.tab.select_option("#order", "name")
        page.tab.select_option("#student", "small")
        fragment = page.value("location.hash")
    with opened(started, page_file, fragment) as page:
        assert page.texts("#pair-heading") == ["wide, deep → small"]
        assert page.value("[measure.value, order.value].join()") == "Accuracy difference,name"
        assert page.texts("#map-cell") == ["wide, deep → small: accuracy difference 5"]
        page.tab.click("text=tall → small")
        assert page.texts("#pair-heading") == ["tall → small"]
        assert "measure=Accuracy" in page.value("location.hash")


def test_rows_and_columns_without_any_figure_are_left_out(started: Any, tmp_path: Path) -> None:
    deltas = np.full((3, 3), np.nan, dtype=np.float32)
    deltas[0, 1:] = -1.5, 2.25
    file = tmp_path / "report.html"
    write_page(Page("A sweep", [], replace(made_map(), measures={"Delta": deltas})), file)
    with opened(started, file) as page:
        assert "3 models, 2 ordered pairs" in page.texts("#section-pairs")[0]
        box = page.tab.locator("#map").bounding_box()
        assert box["width"] - box["height"] == 56  # two students, one teacher
        page.tab.focus("#map")
        page.tab.keyboard.press("End")
        assert page.texts("#map-cell") == ["small → tall: delta 2.25"]
        page.tab.select_option("#teacher", "tall")  # no cell of the map, but a pair
        page.tab.select_option("#student", "wide, deep")
        assert page.texts("#pair-heading") == ["tall → wide, deep"]


def test_the_map_can_be_cut_to_some_models(started: Any, page_file: Path) -> None:
    with opened(started, page_file, "#models=VIT") as page:
        assert page.value("map.width") == page.value("map.height")
        assert page.tab.locator("#map").bounding_box()["height"] < 2 * 56 + 160
        page.tab.focus("#map")
        page.tab.keyboard.press("End")
        assert page.texts("#map-cell") == ["wide, deep → tall: positive flips 16.00"]
        page.tab.fill("#models", "nobody")
        assert page.texts("#map-cell") == ["No model with figures has these words in its name or family."]
        assert not page.tab.locator("#map").is_visible()
        page.tab.fill("#models", "")
        assert page.tab.locator("#map").is_visible() and "models" not in page.value("location.hash")


def test_an_unknown_state_is_ignored(started: Any, page_file: Path) -> None:
    with opened(started, page_file, "#pair=tall,nobody&measure=none&order=none&sort0=none") as page:
        assert page.texts("#pair-heading") == ["wide, deep → tall"]


def click(page: Any, teacher: str, student: str) -> None:
    """Click the middle of a pair's cell, found by where the canvas shows each name."""
    box = page.tab.locator("#map").bounding_box()
    cell = 56  # three models have cells of the largest size
    margin = box["width"] - 1 - 3 * cell
    place = [margin + (ORDER.index(name) + 0.5) * cell for name in (student, teacher)]
    page.tab.mouse.click(box["x"] + place[0], box["y"] + place[1])


def reach(page: Any, name: str) -> None:
    """Press Tab until an element has the focus."""
    for _ in range(40):
        page.tab.keyboard.press("Tab")
        if page.value("document.activeElement.id") == name:
            return
    raise AssertionError(f"Tab never reaches {name}")
