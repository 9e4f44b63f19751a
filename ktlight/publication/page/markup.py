"""The HTML of a page's parts. Whatever comes from outside is escaped."""

import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape

import numpy as np

from ktlight.publication.content import Figure, PairMap
from ktlight.report.secrets import redacted

LINK = re.compile(r"\[([^\[\]]+)\]\((#[^\s()]+)\)")
SVG_NAME = re.compile(r'(\bid="|url\(#|href="#)')


def overview(sentences: Sequence[str]) -> str:
    """Return the section that comes first."""
    return section("Overview", "".join(f"<p>{_linked(sentence)}</p>" for sentence in sentences))


def figures(drawn: Sequence[Figure]) -> str:
    """Return the section of the figures."""
    each = "".join(_figure(number, figure) for number, figure in enumerate(drawn, 1))
    return section("Figures", f'<div class="drawings">{each}</div>')


def provenance(texts: Mapping[str, str]) -> str:
    """Return the section of configs, versions and data, each folded."""
    parts = (
        f"<details><summary>{escape(heading)}</summary><pre tabindex=0>{escape(redacted(text))}</pre></details>"
        for heading, text in texts.items()
    )
    return section("Provenance", "".join(parts))


def table(heading: str, number: int) -> str:
    """Return the section of a table, which its script fills."""
    name = escape(heading)
    return section(
        heading,
        f'<div class="tools"><label>Search <input type="search" id="search-{number}" autocomplete="off"></label>'
        f'<button type="button" id="copy-{number}">Copy</button>'
        f'<button type="button" id="csv-{number}">Save as CSV</button>'
        f'<output id="rows-{number}" aria-live="polite"></output></div>'
        f'<div class="table" id="table-{number}" aria-label="{name}"></div>'
        '<p class="hint" hidden>Click a heading to sort. Numbers can be filtered by <code>&gt;5</code>, '
        "<code>&lt;5</code> or <code>1..5</code>, words by a part of them or, whole, by <code>=word</code>.</p>",
    )


def pair_map(skeleton: str, shown: PairMap, cuts: Sequence[str]) -> str:
    """Return the section of the map, which its script fills.

    Args:
        skeleton: Its HTML.
        shown: The map.
        cuts: What the page leaves out.
    """
    notes = "".join(f'<p class="hint">{escape(cut)}</p>' for cut in cuts)
    known_TS = np.any([np.isfinite(figures) for figures in shown.measures.values()], axis=0)
    intro = (
        f"<p>{len(shown.models)} models, {int(known_TS.sum()):,} ordered pairs of a teacher (row) and a student "
        "(column).</p>"
    )
    return section("Pairs", intro + skeleton + notes)


def section(heading: str, body: str) -> str:
    """Return a section with a heading, known by the heading's name."""
    name = anchor(heading)
    title = f'<h2 id="{name}-heading">{escape(heading)}</h2>'
    return f'<section id="{name}" aria-labelledby="{name}-heading">{title}{body}</section>'


def anchor(heading: str) -> str:
    """Return a heading as an id."""
    return "section-" + re.sub(r"\W+", "-", heading.lower()).strip("-")


def navigation(headings: Sequence[str]) -> str:
    """Return the links to the sections."""
    links = "".join(f'<li><a href="#{anchor(heading)}">{escape(heading)}</a></li>' for heading in headings)
    return f'<nav aria-label="Sections"><ul>{links}</ul></nav>'


def _figure(number: int, figure: Figure) -> str:
    title = escape(figure.title)
    return (
        f'<figure class="drawn"><div role="img" aria-label="{title}">{_apart(figure.svg, number)}</div>'
        f"<figcaption><b>{title}.</b> {escape(figure.caption)}</figcaption></figure>"
    )


def _apart(svg: str, number: int) -> str:
    """Return a drawing whose ids are its own, since all drawings share the page's."""
    return SVG_NAME.sub(rf"\g<1>drawing{number}-", svg[svg.index("<svg") :])


def _linked(sentence: str) -> str:
    return "".join(_pieces(sentence))


def _pieces(sentence: str) -> Iterator[str]:
    """Yield a sentence escaped, its links to pairs as links."""
    start = 0
    for link in LINK.finditer(sentence):
        yield escape(sentence[start : link.start()])
        yield f'<a href="{escape(link[2])}">{escape(link[1])}</a>'
        start = link.end()
    yield escape(sentence[start:])
