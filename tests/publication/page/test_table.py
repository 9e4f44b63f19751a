"""The tables in a real browser: order, filters, search, csv, link, what a screen reader is told."""

from pathlib import Path
from typing import Any

import pytest

from tests.publication.page.browser import opened
from tests.publication.page.test_map import reach

expect = pytest.importorskip("playwright.sync_api").expect
"""Waits without running text as code in the page, which its content security policy forbids."""
ROWS = ".tabulator-row"


def test_numbers_are_sorted_as_numbers_with_empty_cells_last(started: Any, page_file: Path) -> None:
    with opened(started, page_file) as page:
        for _ in range(2):
            page.tab.click("button:text-is('Delta')")
            figures = column(page, "delta")
            assert figures[-10:] == [None] * 10
            assert figures[:30] == sorted(figures[:30], reverse=not _)
        assert header(page, "Delta").get_attribute("aria-sort") == "ascending"
        assert header(page, "Method").get_attribute("aria-sort") == "none"


def test_filters_search_and_saved_rows(started: Any, page_file: Path) -> None:
    with opened(started, page_file) as page:
        page.tab.fill("[aria-label='Filter Method']", "=kl")
        page.tab.fill("[aria-label='Filter Parameters']", "5000000..20000000")
        page.tab.fill("[aria-label='Filter 95% interval']", ">-1")
        page.tab.fill("#search-0", "RUN tall")
        expect(page.tab.locator("#rows-0")).to_have_text("2 of 40 rows")
        with page.tab.expect_download() as download:
            page.tab.click("#csv-0")
        assert download.value.suggested_filename == "Runs.csv"
        assert Path(download.value.path()).read_text() == (
            "teacher,student,method,num_params,delta,ci95_low,ci95_high,run\n"
            'tall,"wide, deep",kl,13000000,-0.67,-1.67,0.33,run 13\n'
            'tall,"wide, deep",kl,17000000,0.67,-0.33,1.67,run 17\n'
        )


def test_the_link_restores_order_filters_and_search(started: Any, page_file: Path) -> None:
    with opened(started, page_file) as page:
        page.tab.click("button:text-is('Parameters')")
        page.tab.fill("[aria-label='Filter Method']", "kl_")
        page.tab.fill("#search-0", "small")
        expect(page.tab.locator("#rows-0")).to_have_text("20 of 40 rows")
        fragment = page.value("location.hash")
    with opened(started, page_file, fragment) as page:
        assert page.texts("#rows-0") == ["20 of 40 rows"]
        assert column(page, "num_params")[:2] == [38_000_000, 36_000_000]
        assert page.value("document.querySelector('[aria-label=\"Filter Method\"]').value") == "kl_"
        page.value("location.hash = ''")
        expect(page.tab.locator("#rows-0")).to_have_text("40 rows")
        assert column(page, "num_params")[0] == 0


def test_the_keyboard_alone_sorts_filters_and_opens_a_pair(started: Any, page_file: Path) -> None:
    with opened(started, page_file) as page:
        reach(page, "search-0")
        page.tab.keyboard.type("tall")
        expect(page.tab.locator("#rows-0")).to_have_text("20 of 40 rows")
        while page.value("document.activeElement.textContent") != "Teacher":
            page.tab.keyboard.press("Tab")
        page.tab.keyboard.press("Enter")
        assert header(page, "Teacher").get_attribute("aria-sort") == "ascending"
        while page.value("document.activeElement.tagName + document.activeElement.textContent") != "Atall":
            page.tab.keyboard.press("Tab")
        page.tab.keyboard.press("Enter")
        assert page.texts("#pair-heading") == ["tall → wide, deep"]
        assert page.value("document.activeElement.id") == "pair"


def test_a_screen_reader_is_told_where_it_is_in_the_table(started: Any, page_file: Path) -> None:
    with opened(started, page_file) as page:
        table = page.tab.locator("#table-0")
        assert [table.get_attribute(f"aria-{name}") for name in ("rowcount", "colcount", "label")] == [
            "41",
            "7",
            "Runs",
        ]
        assert table.get_attribute("role") == "grid"
        assert page.tab.locator(ROWS).first.get_attribute("aria-rowindex") == "2"
        page.value("document.querySelector('.tabulator-tableholder').scrollTop = 1e6")
        expect(page.tab.locator(ROWS).last).to_have_attribute("aria-rowindex", "41")


def column(page: Any, name: str) -> list[Any]:
    """Return all cells of a column as the saved file has them, None where empty."""
    with page.tab.expect_download() as download:
        page.tab.click("#csv-0")
    lines = [line.replace("wide, deep", "") for line in Path(download.value.path()).read_text().splitlines()]
    place = lines[0].split(",").index(name)
    return [float(line.split(",")[place]) if line.split(",")[place] else None for line in lines[1:]]


def header(page: Any, heading: str) -> Any:
    """Return the heading of a column."""
    return page.tab.locator(f".tabulator-col:has(button:text-is('{heading}'))")
