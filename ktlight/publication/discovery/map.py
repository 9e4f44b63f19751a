"""The pair map of a discovery, from its files."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ktlight.publication.content import POSITIVE_FLIPS, PairMap, as_data_link
from ktlight.publication.run.answers_map import in_percent
from ktlight.report.discovery import Discovery

Integers = NDArray[np.int64]
Pair = tuple[int, int]

MEASURES = {
    "positive_flips": POSITIVE_FLIPS,
    "acc_difference": "Accuracy difference",
    "flip_entropy": "Entropy of the flips' classes, nats",
    "num_top20_classes": "Classes that hold 20% of the flips",
    "relatedness": "Relatedness of those classes, standard deviations",
    "error_consistency": "Error consistency",
    "agreement": "Agreement",
    "class_drift": "Drift of the predicted classes",
    "acc_ensemble": "Accuracy of the more confident",
    "acc_ensemble_mean": "Accuracy of the mean probability",
    "acc_oracle": "Either is right",
}
"""Columns of ``pairs.parquet`` in the order to offer them; those without any figure are left out."""
MOST_CLASSES = 50
ENTRIES = 1_000_000
"""Classes of all pairs together; of hundreds of models, each pair keeps fewer."""
NAMED = 8


def discovery_map(discovery: Discovery) -> PairMap:
    """Return the map of a discovery's pairs."""
    facts = discovery.facts
    names = trained(discovery)
    pairs = discovery.table("pairs")
    pairs = pairs.filter(among(pairs, names))
    place = places(pairs, names)
    return PairMap(
        models=list(model_facts(discovery, names)),
        measures=measures(pairs, place, len(names)),
        classes=facts["class_names"],
        top_classes=top_classes(discovery, names) if facts["labels"] else {},
        examples=examples(discovery, names) if facts["labels"] else {},
        images={row["index"]: as_data_link(row["jpeg"], "image/jpeg") for row in discovery.table("images").to_pylist()},
        remarks=remarks(pairs, place),
        num_samples=facts["num_eval"],
    )


def trained(discovery: Discovery) -> list[str]:
    """Return the names of the models but for the baseline, beside which the others would all look alike."""
    return [name for name in discovery.facts["models"] if name != discovery.facts["baseline"]]


def among(table: pa.Table, names: Sequence[str]) -> pa.ChunkedArray:
    """Return which rows are of two of these models."""
    known = pa.array(names, pa.string())
    return pc.and_(*(pc.is_in(table[role].cast(pa.string()), known) for role in ("teacher", "student")))


def model_facts(discovery: Discovery, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the facts of models."""
    rows = discovery.table("models", ["model", "acc", "family", "num_params"]).to_pylist()
    by_name = {row["model"]: row for row in rows}
    for name in names:
        yield {"name": name, **{key: by_name[name][key] for key in ("acc", "family", "num_params")}}


def places(table: pa.Table, names: Sequence[str]) -> tuple[Integers, Integers]:
    """Return the teacher and the student of every row, as positions in ``names``."""
    known = pa.array(names, pa.string())
    first, second = (pc.index_in(table[role].cast(pa.string()), known) for role in ("teacher", "student"))
    return first.to_numpy().astype(np.int64), second.to_numpy().astype(np.int64)


def measures(pairs: pa.Table, place: tuple[Integers, Integers], models: int) -> dict[str, NDArray[np.float32]]:
    """Return the figures to colour the map by."""
    figures = {}
    for column, heading in MEASURES.items():
        if column == "acc_difference":
            values = pc.subtract(pairs["acc_teacher"], pairs["acc_student"])
        else:
            values = pairs[column]
        if values.null_count < len(values):
            figures[heading] = np.full((models, models), np.nan, dtype=np.float32)
            figures[heading][place] = values.cast(pa.float32()).to_numpy()
    return figures


def top_classes(discovery: Discovery, names: Sequence[str]) -> dict[Pair, list[tuple[int, int]]]:
    """Return the classes of most positive flips of every pair; the file is read in blocks, for it can be large."""
    keep = max(1, min(MOST_CLASSES, ENTRIES // max(1, len(names) ** 2)))
    columns = ["teacher", "student", "class_index", "positive_flips"]
    blocks = [np.empty((3, 0), dtype=np.int64)]
    for batch in pq.ParquetFile(discovery.folder / "classes.parquet").iter_batches(2**20, columns=columns):
        table = pa.Table.from_batches([batch])
        table = table.filter(among(table, names))
        teacher, student = places(table, names)
        numbers, counts = (table[name].to_numpy().astype(np.int64) for name in columns[2:])
        rows = np.stack([teacher * len(names) + student, numbers, counts])
        blocks.append(rows[:, most_of_each(rows[0], counts, keep)])
    found = np.concatenate(blocks, axis=1)
    found = found[:, most_of_each(found[0], found[2], keep)]  # a pair can lie in two blocks
    top: dict[Pair, list[tuple[int, int]]] = {}
    for pair, number, count in found.T.tolist():
        top.setdefault(divmod(pair, len(names)), []).append((number, count))
    return top


def most_of_each(group: Integers, count: Integers, keep: int) -> Integers:
    """Return the rows with the highest counts of every group, at most ``keep`` of each, sorted by group and count."""
    order = np.lexsort((-count, group))
    first = np.concatenate([[True], np.diff(group[order]) != 0])[: len(order)]
    rank = np.arange(len(order)) - np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))
    kept: Integers = order[rank < keep]
    return kept


def examples(discovery: Discovery, names: Sequence[str]) -> dict[Pair, list[dict[str, Any]]]:
    """Return example flips with both answers; those without an image are left out, unless there are no images."""
    table = discovery.table("examples")
    table = table.filter(among(table, names))
    shown = discovery.table("images", ["index"])["index"].to_numpy()
    if len(shown):
        table = table.filter(pc.is_in(table["index"], pa.array(shown)))
    predictions = discovery.table("predictions")
    index, label = (predictions[name].to_numpy() for name in ("index", "label"))
    order = np.argsort(index)
    row = order[np.searchsorted(index, table["index"].to_numpy(), sorter=order)]
    answer_MN = np.stack([predictions[name].to_numpy() for name in names])
    sure_MN = np.stack([predictions[f"{name}_confidence"].to_numpy() for name in names])
    teacher, student = places(table, names)
    columns = {
        "image": index[row],
        "label": label[row],
        "answer": answer_MN[student, row],
        "teacher_confidence": in_percent(sure_MN[teacher, row]),
        "student_confidence": in_percent(sure_MN[student, row]),
    }
    found: dict[Pair, list[dict[str, Any]]] = {}
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    for *pair, values in zip(teacher.tolist(), student.tolist(), rows, strict=True):
        found.setdefault((pair[0], pair[1]), []).append(dict(zip(columns, values, strict=True)))
    return found


def remarks(pairs: pa.Table, place: tuple[Integers, Integers]) -> Mapping[Pair, list[str]]:
    """Return a sentence on the classes that hold 20% of a pair's positive flips."""
    columns = (pairs[name].to_pylist() for name in ("top20_classes", "relatedness"))
    rows = zip(*(column.tolist() for column in place), *columns, strict=True)
    return {
        (teacher, student): [concentrated(classes, related)] for teacher, student, classes, related in rows if classes
    }


def concentrated(classes: Sequence[str], related: float | None) -> str:
    """Return in words where a fifth of the flips lie, and how alike those classes are.

    >>> concentrated(["cat", "dog"], 1.25)
    'A fifth of these samples is in 2 classes, cat and dog: 1.25 standard deviations more alike than two classes are.'
    >>> concentrated(["cat"], None)
    'A fifth of these samples is in one class, cat.'
    """
    count = "one class" if len(classes) == 1 else f"{len(classes)} classes"
    where = f"A fifth of these samples is in {count}, {listing(classes)}"
    if related is None:
        return f"{where}."
    more = "more" if related > 0 else "less"
    return f"{where}: {abs(related):.2f} standard deviations {more} alike than two classes are."


def listing(words: Sequence[str]) -> str:
    """Return words as a list in a sentence, only the first if there are many."""
    shown = [*words[:NAMED], f"{len(words) - NAMED} more"] if len(words) > NAMED + 1 else list(words)
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
