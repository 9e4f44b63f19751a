"""The page in headless Chromium: until it is ready, what its parts take, and what other ways of making them would."""

import base64
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench.measure import Row, Timings, arguments, finish, take_turns
from ktlight.publication.content import POSITIVE_FLIPS, Page, PairMap, TableColumn
from ktlight.publication.page.packing import as_json, pair_map_data
from ktlight.publication.page.writer import data_element, own, page_html

READY = "document.documentElement.dataset.ready = Math.round(performance.now());"
LIMIT_MS, LIMIT_MB = 3000, 8.0
WHOLE, MAP, TABLE = "the page", "  map and details only", "  table only"
BARE, VEGA = "a map of one measure", "  by Vega-Lite"
JSON, TYPED = "reading a map's data", "  as typed arrays"


def made_map(models: int, seed: int = 0) -> PairMap:
    """Return a map with as many details as a discovery offers: 8 measures, classes, and 4 examples of every pair."""
    rng = np.random.default_rng(seed)
    pairs = [(teacher, student) for teacher in range(models) for student in range(models) if teacher != student]
    acc_M = np.sort(rng.uniform(60, 85, models))[::-1]
    shared_MM = np.triu(rng.gamma(4, 1.5, (models, models)), 1)
    flips_MM = np.clip(acc_M[:, None] - acc_M, 0, None) + shared_MM + shared_MM.T
    offered = min(50, 1_000_000 // len(pairs))
    class_PK = np.argsort(rng.random((len(pairs), 1000), dtype=np.float32), axis=1)[:, :offered]
    count_PK = -np.sort(-rng.geometric(0.1, (len(pairs), offered)), axis=1)
    sure = {"teacher_confidence": 93.1, "student_confidence": 41.2}
    return PairMap(
        models=[
            {"name": f"model_{i}_of_a_zoo", "acc": float(acc), "family": f"family_{i % 12}", "num_params": 10**7 + i}
            for i, acc in enumerate(acc_M)
        ],
        measures={POSITIVE_FLIPS: flips_MM} | {f"Measure {i}": rng.normal(50, 15, (models, models)) for i in range(7)},
        classes=[f"name of class {number}" for number in range(1000)],
        top_classes={
            pair: list(zip(*each, strict=True))
            for pair, *each in zip(pairs, class_PK.tolist(), count_PK.tolist(), strict=True)
        },
        examples={
            pair: [{"image": (7 * i + k) % 600, "label": k, "answer": k + 1, **sure} for k in range(4)]
            for i, pair in enumerate(pairs)
        },
        images={i: f"data:image/jpeg;base64,{base64.b64encode(rng.bytes(2000)).decode()}" for i in range(600)},
        num_samples=50_000,
    )


def made_rows(rows: int) -> list[TableColumn]:
    """Return a table of runs: 6 columns of words, 12 of figures."""
    rng = np.random.default_rng(1)
    words = [
        TableColumn(f"w{i}", f"Words {i}", "text", rng.choice([f"word_{j}" for j in range(40)], rows)) for i in range(6)
    ]
    delta = rng.normal(0, 2, rows)
    interval = TableColumn("ci95", "95% interval", "interval", list(zip(delta - 1, delta + 1, strict=True)))
    return [
        *words,
        interval,
        *(TableColumn(f"f{i}", f"Figure {i}", "number", rng.normal(50, 20, rows)) for i in range(11)),
    ]


def by_vega(pair_map: PairMap) -> str:
    """Return the map as altair and vl-convert write it, JavaScript inside."""
    import altair as alt
    import vl_convert

    names = [model["name"] for model in pair_map.models]
    flips = pair_map.measures[POSITIVE_FLIPS].round(2).tolist()
    cells = ((teacher, student, figure) for teacher, row in zip(names, flips, strict=True)
             for student, figure in zip(names, row, strict=True))  # fmt: skip
    values = [dict(zip("tsv", cell, strict=True)) for cell in cells]
    encoding = {"x": "s:N", "y": "t:N", "color": "v:Q", "tooltip": ["t:N", "s:N", "v:Q"]}
    chart = alt.Chart(alt.InlineData(values=values)).mark_rect().encode(**encoding).properties(width=600, height=600)
    html = str(vl_convert.vegalite_to_html(chart.to_dict(), bundle=True, renderer="canvas"))
    return html.replace(".catch(console.error)", f".then(() => {{ {READY} }})")


def by_reading(element: str, decode: str) -> str:
    """Return a page that only reads data."""
    script = f"<script>{own('reading.js')}; (async () => {{ window.data = {decode}; {READY} }})();</script>"
    return f"<!doctype html><title>data</title>{element}{script}"


def as_json_page(pair_map: PairMap, classes: int) -> str:
    """Return a page that reads the measures and classes of a map as the page does."""
    data = pair_map_data(pair_map, classes, 0)
    kept = {
        "topClasses": data["topClasses"],
        "topCounts": data["topCounts"],
        "m": [each["values"] for each in data["measures"]],
    }
    return by_reading(data_element("all", as_json(kept)), 'JSON.parse(await read("all"))')


def as_typed_page(pair_map: PairMap, classes: int) -> str:
    """Return a page that reads the same as typed arrays."""
    data = pair_map_data(pair_map, classes, 0)
    parts = [np.array([value or 0 for value in each["values"]], np.int32).tobytes() for each in data["measures"]]
    parts += [np.array(data[name], np.int16).tobytes() for name in ("topClasses", "topCounts")]
    element = f'<script type="text/plain" id="all-data">{base64.b64encode(b"".join(parts)).decode()}</script>'
    return by_reading(element, "new Int32Array(bytesOf('all').buffer, 0, 1000)")


def pages(models: int, rows: int) -> dict[str, str]:
    """Return the HTML of all variants."""
    pair_map, tables = made_map(models), {"Runs": made_rows(rows)}
    whole = page_html(Page("All of it", ["Words."], pair_map, tables, provenance={"Config": "x: 1\n" * 300}))
    bare = PairMap(pair_map.models, {POSITIVE_FLIPS: pair_map.measures[POSITIVE_FLIPS]})
    classes = 5
    return {
        WHOLE: whole,
        MAP: page_html(Page("Map", ["Words."], pair_map)),
        TABLE: page_html(Page("Table", ["Words."], tables=tables)),
        BARE: page_html(Page("Map", ["Words."], bare)),
        VEGA: by_vega(pair_map),
        JSON: as_json_page(pair_map, classes),
        TYPED: as_typed_page(pair_map, classes),
    }


ACTS = {
    "a sort": "document.querySelectorAll('.tabulator-col button')[7].click()",
    "a search": "byId('search-0').value = 'word_1'; byId('search-0').dispatchEvent(new Event('input'))",
    "opening a pair": "byId('reverse').click()",
    "another measure": "byId('measure').selectedIndex ^= 1; byId('measure').dispatchEvent(new Event('change'))",
}
"""What a reader does, timed until the next frame."""
ACT = """new Promise((done) => {
  const byId = (id) => document.getElementById(id);
  const start = performance.now();
  %s;
  requestAnimationFrame(() => done(performance.now() - start));
})"""


def opening(browser: Any, file: Path) -> Callable[[], float]:
    """Return a variant that opens a file and returns the seconds until it is ready, by its own clock."""

    def variant() -> float:
        page = browser.new_page()
        page.goto(file.as_uri())
        page.wait_for_selector("html[data-ready]", timeout=60_000)
        seconds = float(page.evaluate("Number(document.documentElement.dataset.ready)")) / 1000
        page.close()
        return seconds

    return variant


def acting(page: Any, act: str) -> Callable[[], float]:
    """Return a variant that does something on an opened page."""
    return lambda: float(page.evaluate(ACT % act)) / 1000


def rows_of(files: Mapping[str, Path], opened: Timings, acts: Timings) -> list[Row]:
    """Return the table."""
    rows = []
    for name, file in files.items():
        megabytes = file.stat().st_size / 1e6
        row = opened.row(name, note=f"{megabytes:.2f} MB")
        if name == WHOLE:
            met = (row.milliseconds or 0) <= LIMIT_MS and megabytes <= LIMIT_MB
            row = Row(name, row.milliseconds, target=f"<= {LIMIT_MS} ms, {LIMIT_MB:g} MB", met=met, note=row.note)
        rows.append(row)
    return [*rows, *(acts.row(name) for name in acts.seconds)]


def main(given: list[str] | None = None) -> None:
    options = arguments(__doc__ or "", seconds=60).parse_args(given)
    models, rows = (20, 200) if options.quick else (300, 10_000)
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    title = f"the page: {models} x {models} pairs, {rows:,} runs; until ready"
    if chromium is None:
        finish(options, title, [Row(WHOLE, None, target=f"<= {LIMIT_MS} ms", met=False, note="no Chromium here")])
        return
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        files = {}
        for number, (name, html) in enumerate(pages(models, rows).items()):
            files[name] = Path(folder, f"{number}.html")
            files[name].write_text(html)
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        seconds, least = (0, 1) if options.quick else (options.seconds, 5)
        opened = take_turns({name: opening(browser, file) for name, file in files.items()}, seconds, least)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(files[WHOLE].as_uri())
        page.wait_for_selector("html[data-ready]")
        acts = take_turns({name: acting(page, act) for name, act in ACTS.items()}, 0, 1 if options.quick else 20)
        browser.close()
        finish(options, title, rows_of(files, opened, acts))


if __name__ == "__main__":
    main()
