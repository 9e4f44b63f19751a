"""The page of a discovery, from the files of its folder."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ktlight.publication.content import Figure, Page, pair_link
from ktlight.publication.discovery.map import discovery_map
from ktlight.publication.discovery.tables import discovery_tables
from ktlight.publication.page import write_page
from ktlight.report.discovery import Discovery, read_discovery
from ktlight.report.discovery_facts import Facts
from ktlight.report.folder import PAGE


def write_discovery_page(folder: Path) -> Path:
    """Write the page of the finished discovery in ``folder`` and return its path."""
    file = folder / PAGE
    write_page(discovery_page(read_discovery(folder)), file)
    return file


def discovery_page(discovery: Discovery) -> Page:
    """Return the page of a discovery."""
    facts = discovery.facts
    return Page(
        title=f"What {len(facts['models']) - bool(facts['baseline'])} models know on {facts['data']}",
        overview=list(overview(facts)),
        pair_map=discovery_map(discovery),
        tables=discovery_tables(discovery),
        figures=figures(discovery),
        provenance=dict(provenance(discovery)),
    )


def overview(facts: Facts) -> Iterator[str]:
    """Yield what was found; the pairs to try come second, as links into the map."""
    first, *others = facts["summary"]
    yield first
    if facts["best_pairs"]:
        pairs = "; ".join(map(_tried, facts["best_pairs"]))
        yield f"To try first, each student once: {pairs}."
    yield from others


def _tried(row: dict[str, Any]) -> str:
    low, high = (row[f"positive_flips_ci95_{end}"] for end in ("low", "high"))
    words = pair_link(f"{row['teacher']} → {row['student']}", row["teacher"], row["student"])
    return f"{words}, {row['positive_flips']:.2f}% (95% interval {low:.2f} to {high:.2f})"


def figures(discovery: Discovery) -> list[Figure]:
    """Return the figures, drawn."""
    from ktlight.publication.discovery.drawings import discovery_drawings
    from ktlight.publication.draw import svg

    return [Figure(each.name, each.title, each.caption, svg(each.chart)) for each in discovery_drawings(discovery)]


def provenance(discovery: Discovery) -> Iterator[tuple[str, str]]:
    """Yield config and environment, as far as they are in the folder, and how figures were computed."""
    for heading, name in (("Config", "config.yaml"), ("Environment", "environment.json")):
        file = discovery.folder / name
        if file.exists():
            yield heading, file.read_text()
    facts = discovery.facts
    images = facts["images"]
    yield (
        "How",
        f"{facts['num_eval']:,} samples ({facts['evaluated_on']}) of {facts['data']}, "
        f"{'with' if facts['labels'] else 'without'} labels.\nIntervals of positive flips: {facts['intervals']}.\n"
        f"Example images: {images['count']:,}; {images['missing']:,} more were left out to keep the files small.\n"
        "All figures are in pairs.parquet, classes.parquet, expertise.parquet and predictions.parquet.",
    )
