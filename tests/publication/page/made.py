"""A small page of everything that a page can show, with figures that can be worked out by hand."""

import base64
import gzip
import json
import re
from typing import Any

import numpy as np

from ktlight.publication.content import POSITIVE_FLIPS, Figure, Page, PairMap, TableColumn

NAMES = ["small", "wide, deep", "tall"]
CLASSES = ["tench", "</script><img src=x onerror=alert(1)>", "goldfish"]
PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
SVG = (
    '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="80" height="40" viewBox="0 0 80 40">'
    '<clipPath id="clip0"><rect width="80" height="40"/></clipPath><g clip-path="url(#clip0)">'
    '<circle cx="9" cy="9" r="5"/></g></svg>'
)


def made_map() -> PairMap:
    """Return three models on 1,000 samples: 70.0, 75.0 and 60.0% right."""
    none = np.nan
    flips = np.array([[none, 4.0, 15.5], [9.0, none, 16.0], [5.5, 1.0, none]], dtype=np.float32)
    return PairMap(
        models=[
            {"name": name, "acc": acc, "family": family, "num_params": size}
            for name, acc, family, size in zip(
                NAMES, (70.0, 75.0, 60.0), ("resnet", "vit", "vit"), (3_000_000, 90_000_000, 5_000_000), strict=True
            )
        ],
        measures={POSITIVE_FLIPS: flips, "Accuracy difference": flips - flips.T},
        classes=CLASSES,
        top_classes={(0, 1): [(1, 30), (2, 6)], (1, 0): [(0, 80), (1, 5), (2, 5)]},
        examples={
            (0, 1): [
                {"image": 4, "label": 1, "answer": 0, "teacher_confidence": 93.4, "student_confidence": 41.2},
                {"image": 7, "label": 2, "answer": 0, "teacher_confidence": 88.0, "student_confidence": 52.0},
            ]
        },
        images={4: PIXEL, 7: PIXEL, 9: PIXEL},
        remarks={(0, 1): ["Related classes <hold> more of it than chance."]},
        num_samples=1000,
    )


def made_rows() -> list[TableColumn]:
    """Return 40 runs; every fourth has no figures."""
    numbers = range(40)
    empty = [number % 4 == 3 for number in numbers]
    deltas = [None if none else (number - 15) / 3 for number, none in zip(numbers, empty, strict=True)]
    return [
        TableColumn("teacher", "Teacher", "text", ["small", "tall"] * 20),
        TableColumn("student", "Student", "text", ["wide, deep"] * 40),
        TableColumn("method", "Method", "text", ["kl" if number % 2 else "kl_dp" for number in numbers]),
        TableColumn("num_params", "Parameters", "count", [number * 1_000_000 for number in numbers]),
        TableColumn("delta", "Delta", "number", deltas),
        TableColumn("ci95", "95% interval", "interval", [None if x is None else (x - 1, x + 1) for x in deltas]),
        TableColumn("run", "Run", "link", [(f"run {number}", f"run-{number}/report.html") for number in numbers]),
    ]


def made_page() -> Page:
    """Return the page."""
    return Page(
        title="Models & <samples>",
        overview=["Three models on 1,000 samples.", "Try first [tall → small](#pair=tall,small), not <b>others</b>."],
        pair_map=made_map(),
        tables={"Runs": made_rows()},
        figures=[Figure("first", "First", "n < 3", SVG), Figure("second", "Second", "n = 3", SVG)],
        provenance={"Config": "lr: 1 </script>"},
    )


def unpacked(html: str, name: str) -> Any:
    """Return the data that a page's scripts read."""
    (text,) = re.findall(rf'id="{name}-data">([^<]*)</script>', html)
    return json.loads(gzip.decompress(base64.b64decode(text)))
