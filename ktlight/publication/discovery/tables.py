"""The tables of a discovery's page."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ktlight.publication.content import TableColumn
from ktlight.report.discovery import Discovery

ROWS = 10_000
"""Rows of a table, so that the page opens at once; the files have all."""

PAIRS: dict[str, tuple[str, Any]] = {
    "teacher": ("Teacher", "text"),
    "student": ("Student", "text"),
    "acc_teacher": ("Teacher, %", "number"),
    "acc_student": ("Student, %", "number"),
    "positive_flips": ("Positive flips, %", "number"),
    "positive_flips_ci95": ("95% interval", "interval"),
    "negative_flips": ("Negative flips, %", "number"),
    "flip_entropy": ("Entropy, nats", "number"),
    "num_top20_classes": ("Classes with 20%", "count"),
    "relatedness": ("Relatedness, SD", "number"),
    "error_consistency": ("Error consistency", "number"),
    "agreement": ("Agreement, %", "number"),
    "class_drift": ("Drift, %", "number"),
    "acc_ensemble": ("More confident, %", "number"),
    "acc_ensemble_mean": ("Mean probability, %", "number"),
    "acc_oracle": ("Either right, %", "number"),
}
MODELS: dict[str, tuple[str, Any]] = {
    "model": ("Model", "text"),
    "family": ("Family", "text"),
    "num_params": ("Parameters", "count"),
    "acc": ("Accuracy, %", "number"),
    "expert_classes": ("Classes of expertise", "count"),
    "labels": ("Classes", "text"),
    "provenance": ("Weights from", "text"),
    "reason": ("Left out because", "text"),
    "weights": ("SHA-256", "text"),
}
EXPERTISE: dict[str, tuple[str, Any]] = {
    "model": ("Model", "text"),
    "class": ("Class", "text"),
    "acc": ("Accuracy, %", "number"),
    "excess": ("Above the mean, points", "number"),
    "p_value": ("Adjusted p", "number"),
}
COVERAGE: dict[str, tuple[str, Any]] = {"model": ("Model", "text"), "covered": ("Any so far right, %", "number")}
DUPLICATES: dict[str, tuple[str, Any]] = {
    "first": ("Model", "text"),
    "second": ("Near duplicate", "text"),
    "consistency": ("Consistency", "number"),
}


def discovery_tables(discovery: Discovery) -> dict[str, list[TableColumn]]:
    """Return the tables by heading; those without rows are left out."""
    facts = discovery.facts
    expert = discovery.table("expertise")
    expert = expert.filter(expert["expertise"])
    tables = {
        **cut(pair_rows(discovery), "Table of pairs", "positive_flips" if facts["labels"] else "agreement", PAIRS),
        "Models": columns(model_rows(discovery), MODELS),
        "Models that complement each other": columns(pa.Table.from_pylist(facts["coverage"]), COVERAGE),
        **cut(expert, "Expertise", "excess", EXPERTISE),
        "Near duplicates": columns(pa.Table.from_pylist(facts["duplicates"]), DUPLICATES),
    }
    return {heading: table for heading, table in tables.items() if table and len(table[0].cells)}


def pair_rows(discovery: Discovery) -> pa.Table:
    """Return the pairs with their intervals as pairs of numbers."""
    pairs = discovery.table("pairs")
    ends = (pairs[f"positive_flips_ci95_{end}"].to_pylist() for end in ("low", "high"))
    intervals = [None if None in ends else ends for ends in zip(*ends, strict=True)]
    return pairs.append_column("positive_flips_ci95", pa.array(intervals, pa.list_(pa.float64())))


def model_rows(discovery: Discovery) -> pa.Table:
    """Return the models with the number of their classes of expertise."""
    models = discovery.table("models")
    counts = {row["model"]: row["count"] for row in discovery.facts["expertise"]}
    expert = pa.array([counts.get(name) for name in models["model"].to_pylist()], pa.int64())
    return models.append_column("expert_classes", expert)


def cut(table: pa.Table, heading: str, by: str, shown: dict[str, tuple[str, Any]]) -> dict[str, list[TableColumn]]:
    """Return a table by its heading, which says so if only its first rows by a column are shown."""
    if len(table) > ROWS:
        heading = f"{heading}: the first {ROWS:,} of {len(table):,}"
        table = table.take(pc.sort_indices(table, [(by, "descending")])[:ROWS])
    return {heading: columns(table, shown)}


def columns(table: pa.Table, shown: dict[str, tuple[str, Any]]) -> list[TableColumn]:
    """Return columns of a table; those without any value are left out."""
    return [
        TableColumn(name, heading, kind, table[name].to_pylist())
        for name, (heading, kind) in shown.items()
        if name in table.column_names and table[name].null_count < len(table)
    ]
