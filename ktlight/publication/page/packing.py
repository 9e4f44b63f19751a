"""What a page's scripts read: JSON, compressed with gzip and written in base64.

Compressed JSON of whole numbers was measured against typed arrays in base64 (``python -m bench.page``): it is a third
smaller, for a tenth of a second more at 300 models, and simpler.
"""

import base64
import gzip
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ktlight.publication.content import POSITIVE_FLIPS, PairMap, TableColumn

HUNDREDTH = 0.01
"""Unit of figures, but for positive flips, which are samples."""
VALUES = 5
"""Whole numbers that describe an example."""


def packed(text: str) -> str:
    """Return ``text`` compressed, in characters that mean nothing in HTML. The same text gives the same characters."""
    return base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode()


def as_json(value: Any) -> str:
    """Return compact JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def table_data(name: str, columns: Sequence[TableColumn]) -> dict[str, Any]:
    """Return a table as its script reads it.

    Args:
        name: Its heading.
        columns: Its columns.
    """
    return {
        "name": name,
        "columns": [
            {
                "name": column.name,
                "heading": column.heading,
                "kind": column.kind,
                "cells": [_cell(column.kind, cell) for cell in column.cells],
            }
            for column in columns
        ],
    }


def pair_map_data(pair_map: PairMap, classes_kept: int, examples_kept: int) -> dict[str, Any]:
    """Return the map as its script reads it. Long flat lists of whole numbers are what browsers parse fastest.

    Args:
        pair_map: The map.
        classes_kept: How many classes of a pair to keep.
        examples_kept: How many examples of a pair to keep.
    """
    models = len(pair_map.models)
    class_PK = np.full((models * models, classes_kept), -1)
    count_PK = np.zeros_like(class_PK)
    for (teacher, student), classes in pair_map.top_classes.items():
        for rank, (number, count) in enumerate(classes[:classes_kept]):
            class_PK[teacher * models + student, rank] = number
            count_PK[teacher * models + student, rank] = count
    example_PKV = np.full((models * models, examples_kept, VALUES), -1)
    for (teacher, student), examples in pair_map.examples.items():
        for rank, example in enumerate(examples[:examples_kept]):
            example_PKV[teacher * models + student, rank] = _example(example)
    shown = set(example_PKV[..., 0].ravel().tolist())
    return {
        "models": [dict(model) for model in pair_map.models],
        "measures": [_measure(pair_map, heading) for heading in pair_map.measures],
        "classes": list(pair_map.classes),
        "classesKept": classes_kept,
        "topClasses": class_PK.ravel().tolist(),
        "topCounts": count_PK.ravel().tolist(),
        "examplesKept": examples_kept,
        "examples": example_PKV.ravel().tolist(),
        "images": {str(index): image for index, image in pair_map.images.items() if index in shown},
        "remarks": {_key(pair): list(sentences) for pair, sentences in pair_map.remarks.items()},
        "samples": pair_map.num_samples,
    }


def most(per_pair: Mapping[tuple[int, int], Sequence[Any]]) -> int:
    """Return the length of the longest of the pairs' lists."""
    return max(map(len, per_pair.values()), default=0)


def _example(example: Mapping[str, Any]) -> list[int]:
    """Return an example as whole numbers: image, label, the student's answer, and both confidences in percent."""
    figures = (example[f"{who}_confidence"] for who in ("teacher", "student"))
    return [*(int(example[name]) for name in ("image", "label", "answer")), *(round(float(each)) for each in figures)]


def _key(pair: tuple[int, int]) -> str:
    return f"{pair[0]},{pair[1]}"


def _measure(pair_map: PairMap, heading: str) -> dict[str, Any]:
    """Return a measure as whole numbers of a unit, None where there is none; positive flips in samples, if possible."""
    values = np.asarray(pair_map.measures[heading], dtype=np.float64).ravel()
    unit = HUNDREDTH
    if heading == POSITIVE_FLIPS and pair_map.num_samples:
        unit = 100 / pair_map.num_samples
    elif not np.nan_to_num(values % 1).any():
        unit = 1
    whole = [None if math.isnan(value) else round(value) for value in (values / unit).tolist()]
    return {"heading": heading, "unit": unit, "decimals": 0 if unit == 1 else 2, "values": whole}


def _cell(kind: str, cell: Any) -> Any:
    """Return a cell as JSON knows it, with two decimals at most."""
    if cell is None or kind == "text":
        return None if cell is None else str(cell)
    if kind == "link":
        return [str(part) for part in cell]
    if kind == "interval":
        low, high = (_number(value, 2) for value in cell)
        return None if low is None or high is None else [low, high]
    return _number(cell, 2 if kind == "number" else 0)


def _number(value: Any, decimals: int) -> float | int | None:
    if value is None or not math.isfinite(value):
        return None
    return round(float(value), decimals) if decimals else round(float(value))
