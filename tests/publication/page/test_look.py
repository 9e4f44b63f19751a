"""The page as a whole in a real browser: under its policy, at every width, in the dark, on paper."""

from pathlib import Path
from typing import Any

import pytest

from tests.publication.page.browser import opened


@pytest.mark.parametrize("width", [360, 800, 1400])
def test_no_width_makes_the_page_scroll_sideways(started: Any, page_file: Path, width: int) -> None:
    with opened(started, page_file, viewport={"width": width, "height": 740}) as page:
        assert page.value("document.documentElement.scrollWidth") == width


def test_dark_has_light_text_and_another_map(started: Any, page_file: Path) -> None:
    shown = {}
    for scheme in ("light", "dark"):
        with opened(started, page_file, color_scheme=scheme) as page:
            colour = page.value("getComputedStyle(document.body).color.match(/\\d+/g).map(Number)")
            shown[scheme] = sum(colour), page.value("document.getElementById('map').toDataURL()")
    assert shown["light"][0] < 200 < 550 < shown["dark"][0]
    assert shown["light"][1] != shown["dark"][1]


def test_nothing_can_be_loaded(started: Any, page_file: Path) -> None:
    with opened(started, page_file) as page:
        assert page.value("fetch('https://example.org').then(() => 'loaded', () => 'refused')") == "refused"
        assert page.messages and all("Content Security Policy" in message for message in page.messages)
        page.messages.clear()


def test_what_comes_from_outside_is_text(started: Any, page_file: Path) -> None:
    with opened(started, page_file) as page:
        assert page.value("document.querySelectorAll('[onerror], main b:not(.drawn b):not(#pair b)').length") == 0
        assert "not <b>others</b>" in page.texts("#section-overview")[0]
        assert page.value("document.querySelector('pre').textContent") == "lr: 1 </script>"


def test_paper_has_the_rows_of_the_tables(started: Any, page_file: Path) -> None:
    with opened(started, page_file) as page:
        page.tab.emulate_media(media="print")
        page.value("dispatchEvent(new Event('beforeprint'))")
        assert page.value("document.querySelectorAll('.tabulator-print-table tbody tr').length") == 40


def test_landmarks_headings_and_sections(started: Any, page_file: Path) -> None:
    with opened(started, page_file) as page:
        assert page.texts("nav a") == ["Overview", "Pairs", "Figures", "Runs", "Provenance"]
        for landmark in ("header h1", "nav[aria-label]", "main", "section[aria-labelledby]"):
            assert page.tab.locator(landmark).count()
        page.tab.click("nav a:text-is('Figures')")
        assert page.value("document.activeElement.id") == "section-figures"
        assert page.value("location.hash") == ""
