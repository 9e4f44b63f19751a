"""The pair map of a transfer: the student before and after, and its teachers."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np

from ktlight.data.dataset import ImageTable
from ktlight.data.thumbnails import thumbnails
from ktlight.publication.content import PairMap, as_data_link
from ktlight.publication.run.answers_map import answers_map, in_percent
from ktlight.publication.run.record import RunRecord

EXAMPLES = 4
"""Of every pair."""


def run_map(record: RunRecord, images: ImageTable | None) -> PairMap:
    """Return the map; knowledge gain and loss are the flips between the student after and before.

    Args:
        record: The run.
        images: The images that it was evaluated on, for examples.
    """
    columns = networks(record)
    models = [facts for _, facts in columns]
    predictions = np.stack([record.columns[name] for name, _ in columns])
    pairs = answers_map(models, predictions, record.columns["label"], record.results["class_names"])
    if images is None:
        return pairs
    examples = clearest(record, [name for name, _ in columns])
    rows = dict.fromkeys(example["image"] for each in examples.values() for example in each)
    found, _ = thumbnails(images, list(rows))
    shown = {pair: kept for pair, each in examples.items() if (kept := [one for one in each if one["image"] in found])}
    links = {row: as_data_link(jpeg, "image/jpeg") for row, jpeg in found.items()}
    return replace(pairs, examples=shown, images=links)


def networks(record: RunRecord) -> list[tuple[str, dict[str, Any]]]:
    """Return the columns of predictions that are networks, with their facts and a name that tells them apart."""
    models = record.results["models"]
    columns = {"before": "student", **{role: role for role in record.teachers}}
    columns |= {f"{role}_after": role for role in record.teachers if f"{role}_after" in record.columns}
    columns["after"] = "student"
    return [
        (
            column,
            {
                "name": f"{models[role]['name']} ({column.replace('_', ' ')})",
                "family": models[role]["family"],
                "num_params": models[role]["parameters"],
            },
        )
        for column, role in columns.items()
    ]


def clearest(record: RunRecord, columns: Sequence[str]) -> dict[tuple[int, int], list[dict[str, Any]]]:
    """Return the flips of every pair where the teacher is surest in comparison; an ensemble has no confidence."""
    examples = {}
    for (first, teacher), (second, student) in permutations(enumerate(columns), 2):
        if not {f"{teacher}_confidence", f"{student}_confidence"} <= record.columns.keys():
            continue
        flips = np.flatnonzero(record.right(teacher) & ~record.right(student))
        sure, unsure = (record.columns[f"{name}_confidence"][flips] for name in (teacher, student))
        chosen = np.argsort(unsure - sure, kind="stable")[:EXAMPLES]
        values = {
            "image": record.columns["index"][flips],
            "label": record.columns["label"][flips],
            "answer": record.columns[student][flips],
            "teacher_confidence": in_percent(sure),
            "student_confidence": in_percent(unsure),
        }
        examples[first, second] = [{name: each[row].item() for name, each in values.items()} for row in chosen]
    return examples
