"""Joins content, scripts and styles to one file."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path

from ktlight.publication.content import POSITIVE_FLIPS, Page, PairMap
from ktlight.publication.page import markup
from ktlight.publication.page.packing import as_json, most, packed, pair_map_data, table_data
from ktlight.report.files import write_text

POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"
"""Under it, a browser loads nothing but what is in the file."""

LIMIT = 8_000_000
"""Characters of a page; the details of pairs are cut to fit."""

SCRIPTS = ("reading", "state", "colours", "geometry", "map", "pair", "rows", "table", "main")
DETAILS = (
    (50, 12, True), (20, 8, True), (20, 4, False), (10, 4, False), (7, 3, False), (5, 2, False), (2, 1, False),
    (0, 0, False),
)  # fmt: skip
"""How many classes and examples of every pair to keep, and whether its remarks: the first that fit."""


def write_page(page: Page, file: Path) -> None:
    """Write ``page`` as one HTML file that loads nothing from elsewhere.

    Args:
        page: What it shows.
        file: Written atomically.
    """
    write_text(file, page_html(page))


def page_html(page: Page) -> str:
    """Return the HTML of ``page``."""
    tables = [table_data(heading, columns) for heading, columns in page.tables.items()]
    scripted = bool(page.pair_map or tables)
    start = _start(page)
    rest = [
        markup.figures(page.figures) if page.figures else "",
        *(markup.table(heading, number) for number, heading in enumerate(page.tables)),
        markup.provenance(page.provenance) if page.provenance else "",
        "</main>",
        *((data_element("tables", as_json(tables)), *_scripts(bool(tables))) if scripted else ()),
        "</body>\n</html>\n",
    ]
    room = LIMIT - len("\n".join([start, "", *rest]))
    return "\n".join([start, _pairs(page.pair_map, room) if page.pair_map else "", *rest])


def _start(page: Page) -> str:
    """Return everything up to the overview."""
    headings = [
        "Overview",
        *(["Pairs"] if page.pair_map else []),
        *(["Figures"] if page.figures else []),
        *page.tables,
        *(["Provenance"] if page.provenance else []),
    ]
    style = own("vendor/tabulator/tabulator.min.css") + own("page.css")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(page.title)}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<header><h1>{escape(page.title)}</h1>{markup.navigation(headings)}</header>
<main>
<noscript><p>The map and the tables need JavaScript; everything else is here without it.</p></noscript>
{markup.overview(page.overview)}"""


def _pairs(pair_map: PairMap, room: int) -> str:
    """Return the map's section and data, with as many details as there is room for."""
    most_classes, most_examples = most(pair_map.top_classes), most(pair_map.examples)
    tries = [(min(classes, most_classes), min(examples, most_examples), words) for classes, examples, words in DETAILS]
    for classes, examples, words in dict.fromkeys(tries):
        kept = pair_map if words else replace(pair_map, remarks={})
        data = data_element("pair-map", as_json(pair_map_data(kept, classes, examples)))
        cuts = list(_cuts(pair_map, classes, examples, words))
        html = markup.pair_map(own("pair_map.html"), pair_map, cuts) + data
        if len(html) <= room:
            break
    return html


def _cuts(pair_map: PairMap, classes: int, examples: int, remarks: bool) -> Iterator[str]:
    """Yield what the page leaves out, in words."""
    if _classes_left_out(pair_map, classes):
        yield f"Of every pair, at most {classes} classes are shown, the most frequent."
    if examples < most(pair_map.examples):
        yield f"To keep this file small, it has at most {examples} examples of every pair."
    if pair_map.remarks and not remarks:
        yield "To keep this file small, it names no related classes."


def _classes_left_out(pair_map: PairMap, classes: int) -> bool:
    """Return whether any pair has positive flips in other classes than those shown."""
    flips_TS = pair_map.measures.get(POSITIVE_FLIPS)
    if flips_TS is None or not pair_map.num_samples:
        return classes < most(pair_map.top_classes)
    return any(
        sum(count for _, count in counts[:classes]) < round(float(flips_TS[pair]) * pair_map.num_samples / 100)
        for pair, counts in pair_map.top_classes.items()
    )


def _scripts(tables: bool) -> Iterator[str]:
    """Yield the scripts; the table library is compressed, since it is most of a small page."""
    if tables:
        yield from _library()
    code = "\n".join(own(f"{name}.js") for name in SCRIPTS)
    yield f'<script>\n"use strict";\n(() => {{\n{code}}})();\n</script>'


@cache
def _library() -> tuple[str, str]:
    """Return the licence and the code of the table library."""
    licence = f"<!-- Tabulator:\n{own('vendor/tabulator/LICENSE')}-->"
    return licence, data_element("tabulator", own("vendor/tabulator/tabulator.min.js"))


def data_element(name: str, text: str) -> str:
    """Return what the page's script ``read(name)`` reads."""
    return f'<script type="application/gzip" id="{name}-data">{packed(text)}</script>'


def own(name: str) -> str:
    """Return a file of this package as text."""
    return files("ktlight.publication.page").joinpath(name).read_text(encoding="utf-8")
