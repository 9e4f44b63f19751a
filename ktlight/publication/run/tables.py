"""The tables of a transfer's page: models, classes, samples."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ktlight.models.label_words import labels_in_words
from ktlight.publication.content import TableColumn
from ktlight.publication.run.answers_map import in_percent
from ktlight.publication.run.record import RunRecord

SAMPLES = 2000
"""Rows of the table of samples, so that a page stays small."""


def run_tables(record: RunRecord) -> dict[str, list[TableColumn]]:
    """Return the tables by heading."""
    changed = np.flatnonzero(record.right("before") != record.right("after"))
    heading = "Samples that changed"
    if len(changed) > SAMPLES:
        heading = f"The first {SAMPLES:,} of {len(changed):,} samples that changed"
    return {
        "Classes": class_table(record),
        **({heading: sample_table(record, changed[:SAMPLES])} if len(changed) else {}),
        "Models": model_table(record),
    }


def class_table(record: RunRecord) -> list[TableColumn]:
    """Return a row a class: what the student knew, what the teachers know, what became of it."""
    names, labels = record.results["class_names"], record.columns["label"]
    before, after, taught = record.right("before"), record.right("after"), record.taught()

    def count(where: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.bincount(labels[where], minlength=len(names))

    total = count(np.ones_like(before))

    def share(where: NDArray[np.bool_]) -> NDArray[np.float64]:
        return 100 * count(where) / np.where(total, total, np.nan)

    return [
        TableColumn("class", "Class", "text", names),
        TableColumn("samples", "Samples", "count", total),
        TableColumn("acc_before", "Before, %", "number", share(before)),
        TableColumn(
            "acc_teacher", "Teacher, %" if len(record.teachers) == 1 else "Any teacher, %", "number", share(taught)
        ),
        TableColumn("acc_after", "After, %", "number", share(after)),
        TableColumn("transfer_delta", "Change, points", "number", share(after) - share(before)),
        TableColumn("gained", "Gained", "count", count(~before & after)),
        TableColumn("lost", "Lost", "count", count(before & ~after)),
        TableColumn("positive_flips", "Only teacher right", "count", count(taught & ~before)),
        TableColumn("transferred", "Of those, now right", "count", count(taught & ~before & after)),
    ]


def sample_table(record: RunRecord, rows: NDArray[np.int64]) -> list[TableColumn]:
    """Return a row a sample that the student answers otherwise: gained or lost.

    Args:
        record: The run.
        rows: Of ``predictions.parquet``.
    """
    names = np.array(record.results["class_names"])

    def said(column: str, heading: str) -> TableColumn:
        return TableColumn(column, heading, "text", names[record.columns[column][rows]])

    def sure(column: str, heading: str) -> TableColumn:
        name = f"{column}_confidence"
        return TableColumn(name, heading, "number", in_percent(record.columns[name][rows]))

    teachers = [(role, role.capitalize()) for role in record.teachers]
    confident = "after_confidence" in record.columns
    return [
        TableColumn("index", "Sample", "count", record.columns["index"][rows]),
        TableColumn("change", "Change", "text", np.where(record.right("after")[rows], "gained", "lost")),
        said("label", "Label"),
        said("before", "Before"),
        *(said(role, heading) for role, heading in teachers),
        said("after", "After"),
        sure("before", "Before, sure, %"),
        *(sure(role, f"{heading}, sure, %") for role, heading in teachers),
        *([sure("after", "After, sure, %")] if confident else []),
    ]


def model_table(record: RunRecord) -> list[TableColumn]:
    """Return a row a model: what it is, and where its weights came from."""
    roles, models = list(record.results["models"]), list(record.results["models"].values())
    accuracies = [100 * float(record.right("before" if role == "student" else role).mean()) for role in roles]
    labels = [labels_in_words(model.get("labels")) for model in models]
    return [
        TableColumn("role", "Role", "text", roles),
        TableColumn("model", "Model", "text", [model["name"] for model in models]),
        TableColumn("family", "Family", "text", [model["family"] for model in models]),
        TableColumn("num_params", "Parameters", "count", [model["parameters"] for model in models]),
        TableColumn("acc", "Accuracy before, %", "number", accuracies),
        *([TableColumn("labels", "Classes", "text", labels)] if any(labels) else []),
        TableColumn("weights", "Weights from", "text", [_origin(model["provenance"]) for model in models]),
        TableColumn("sha256", "SHA-256", "text", [model["weights"] for model in models]),
    ]


def _origin(provenance: dict[str, Any] | None) -> str:
    return f"{provenance['source']}: {provenance['location']}" if provenance else ""
