"""What a page shows, as plain data: the builders fill it from run folders, `ktlight.publication.page` writes it."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

POSITIVE_FLIPS = "Positive flips"
"""Heading of the measure of a `PairMap` that is the share of samples, in percent, that only the teacher is right on."""


@dataclass(frozen=True)
class Figure:
    """A drawn figure.

    Attributes:
        name: Stable, in file names: ``delta_against_difference``.
        title: A few words.
        caption: What to see in it, with n and the kind of interval, and what is missing.
        svg: The drawing; transparent, legible on light and dark.
    """

    name: str
    title: str
    caption: str
    svg: str


@dataclass(frozen=True)
class TableColumn:
    """A column of a table that can be sorted and filtered.

    Attributes:
        name: Stable, in links and csv files.
        heading: As shown.
        kind: ``text``, ``number`` (two decimals), ``count`` (a whole number), ``interval`` (pairs, sorted by middle) or
            ``link`` (a text and a relative address).
        cells: One per row; None where there is none.
    """

    name: str
    heading: str
    kind: Literal["text", "number", "count", "interval", "link"]
    cells: Sequence[Any] | NDArray[Any]


@dataclass(frozen=True)
class PairMap:
    """A map of all ordered pairs, teachers down and students across.

    Attributes:
        models: Facts of each model: ``name``, ``acc``, ``family``, ``num_params``.
        measures: What to colour by, ``[teacher, student]`` in percent (NaN: none), by heading; the first is shown.
        classes: Names of the classes.
        top_classes: Per pair ``(teacher, student)``, the classes of most positive flips and their counts, most first.
        examples: Per pair, positive flips: ``image`` (an index), ``label`` and ``answer`` (of the student) as classes,
            ``teacher_confidence`` and ``student_confidence`` in percent. The teacher's answer is the label.
        images: The images of the examples by index, as ``data:`` links.
        remarks: Per pair, further sentences, such as the related classes.
        num_samples: How many samples were asked.
    """

    models: Sequence[Mapping[str, Any]]
    measures: Mapping[str, NDArray[np.float32]]
    classes: Sequence[str] = ()
    top_classes: Mapping[tuple[int, int], Sequence[tuple[int, int]]] = field(default_factory=dict)
    examples: Mapping[tuple[int, int], Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    images: Mapping[int, str] = field(default_factory=dict)
    remarks: Mapping[tuple[int, int], Sequence[str]] = field(default_factory=dict)
    num_samples: int = 0


@dataclass(frozen=True)
class Page:
    """A whole page.

    Attributes:
        title: Its heading.
        overview: Sentences that come first: what was found, and how sure it is; see `pair_link`.
        pair_map: The map of pairs, if there are pairs.
        tables: Tables to sort and filter.
        figures: Figures, in the order to read them.
        provenance: Configs, versions, weights, data: headings and their text.
    """

    title: str
    overview: Sequence[str]
    pair_map: PairMap | None = None
    tables: Mapping[str, Sequence[TableColumn]] = field(default_factory=dict)
    figures: Sequence[Figure] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)


def pair_link(words: str, teacher: str, student: str) -> str:
    """Return words that open a pair in the map when they stand in an overview."""
    return f"[{words}](#pair={quote(f'{teacher},{student}', safe=',')})"


def as_data_link(content: bytes, kind: str) -> str:
    """Return the content of a file as a link that holds it, ``kind`` being ``image/jpeg`` for instance."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
