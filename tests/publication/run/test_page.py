"""The page of a transfer: its words, its tables and its map against slow loops over the predictions."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from ktlight.data.digits import load_digits
from ktlight.publication.content import POSITIVE_FLIPS
from ktlight.publication.run.map import run_map
from ktlight.publication.run.page import overview, run_page, write_run_page
from ktlight.publication.run.record import RunRecord, read_run
from ktlight.publication.run.tables import run_tables
from ktlight.report.results import transfer_figures

NAMES = ["cat", "dog", "</script>"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A finished run of 50 samples and two teachers, in two stages."""
    rng = np.random.default_rng(0)
    columns = {"index": np.arange(50) + 7, "label": rng.integers(0, 3, 50)}
    for name in ("before", "teacher1", "teacher2", "ensemble", "ensemble_mean", "after"):
        columns[name] = np.where(rng.random(50) < 0.6, columns["label"], rng.integers(0, 3, 50))
    networks = ("before", "teacher1", "teacher2", "after")
    sure = {f"{name}_confidence": rng.normal(size=50).astype(np.float32) for name in networks}
    pq.write_table(pa.table(columns | sure), tmp_path / "predictions.parquet")
    figures = transfer_figures({name: torch.from_numpy(column) for name, column in columns.items()}, NAMES)
    facts = {"family": "vit", "parameters": 5, "provenance": {"source": "zoo", "location": "x"}, "weights": "ab"}
    roles = zip(("student", "teacher1", "teacher2"), "stu", strict=True)
    results = {
        **figures, "task": "transfer", "student": "s", "teacher": "t+u", "method": "kl", "data": "d", "epochs": 4,
        "class_names": NAMES, "seconds": {"train": 1.5},
        "models": {role: facts | {"name": name} for role, name in roles},
    }  # fmt: skip
    (tmp_path / "results.json").write_text(json.dumps(results))
    (tmp_path / "config.yaml").write_text("lr: 1\n")
    (tmp_path / "environment.json").write_text("{}")
    for stage in ("1-teacher2", "2-teacher1"):
        file = tmp_path / "stages" / stage / "curves.csv"
        file.parent.mkdir(parents=True)
        role = stage[2:]
        rows = [
            {"epoch": epoch, "train/loss": 0.5 - epoch, "train/soft": 0.5 - epoch, "val/acc": "" if epoch else 60,
             f"share/{role}": 90, f"share/{role}/neutral": 91, f"share/{role}/positive_flips": 100, "share/student": 10}
            for epoch in range(2)
        ]  # fmt: skip
        with file.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    return tmp_path


@pytest.fixture
def record(folder: Path) -> RunRecord:
    return read_run(folder)


def test_classes_are_counted_as_in_a_loop(record: RunRecord) -> None:
    columns = {column.name: list(column.cells) for column in run_tables(record)["Classes"]}
    said = [dict(zip(record.columns, row, strict=True)) for row in zip(*record.columns.values(), strict=True)]
    for number, name in enumerate(NAMES):
        rows = [row for row in said if row["label"] == number]
        before, after = ([row[when] == number for row in rows] for when in ("before", "after"))
        taught = [number in (row["teacher1"], row["teacher2"]) for row in rows]
        expected = {
            "class": name,
            "samples": len(rows),
            "acc_before": 100 * sum(before) / len(rows),
            "acc_teacher": 100 * sum(taught) / len(rows),
            "acc_after": 100 * sum(after) / len(rows),
            "transfer_delta": 100 * (sum(after) - sum(before)) / len(rows),
            "gained": sum(new and not old for old, new in zip(before, after, strict=True)),
            "lost": sum(old and not new for old, new in zip(before, after, strict=True)),
            "positive_flips": sum(known and not old for known, old in zip(taught, before, strict=True)),
            "transferred": sum(
                known and not old and new for known, old, new in zip(taught, before, after, strict=True)
            ),
        }
        assert {column: cells[number] for column, cells in columns.items()} == pytest.approx(expected)
    assert sum(columns["gained"]) / 50 * 100 == pytest.approx(record.results["knowledge_gain"])
    assert sum(columns["positive_flips"]) / 50 * 100 == pytest.approx(record.results["complementary_knowledge"])


def test_samples_that_changed_are_there_with_their_confidence(record: RunRecord) -> None:
    columns = {column.name: list(column.cells) for column in run_tables(record)["Samples that changed"]}
    assert columns["change"].count("gained") / 50 * 100 == pytest.approx(record.results["knowledge_gain"])
    assert columns["change"].count("lost") / 50 * 100 == pytest.approx(record.results["knowledge_loss"])
    row = columns["index"][0] - 7
    assert columns["teacher2"][0] == NAMES[record.columns["teacher2"][row]]
    odds = np.exp(float(record.columns["after_confidence"][row]))
    assert columns["after_confidence"][0] == pytest.approx(100 * odds / (1 + odds))


def test_the_map_has_gains_and_losses(record: RunRecord) -> None:
    pairs = run_map(record, None)
    assert [model["name"] for model in pairs.models] == ["s (before)", "t (teacher1)", "u (teacher2)", "s (after)"]
    flips = pairs.measures[POSITIVE_FLIPS]
    assert flips[3, 0] == pytest.approx(record.results["knowledge_gain"])
    assert flips[0, 3] == pytest.approx(record.results["knowledge_loss"])
    assert sum(count for _, count in pairs.top_classes[3, 0]) == round(flips[3, 0] / 2)
    assert np.isnan(np.diagonal(flips)).all()
    for first, a in enumerate(pairs.models):
        for second, b in enumerate(pairs.models):
            if first != second:
                assert a["acc"] - b["acc"] == pytest.approx(flips[first, second] - flips[second, first], abs=1e-5)


def test_examples_are_flips_where_the_teacher_is_surest(record: RunRecord) -> None:
    pairs = run_map(record, load_digits().val)
    columns = ["before", "teacher1", "teacher2", "after"]
    for (teacher, student), examples in pairs.examples.items():
        first, second = columns[teacher], columns[student]
        flips = np.flatnonzero(record.right(first) & ~record.right(second))
        surer = record.columns[f"{first}_confidence"] - record.columns[f"{second}_confidence"]
        rows = sorted(flips, key=lambda row: -surer[row])[:4]
        assert [example["image"] for example in examples] == [row + 7 for row in rows]
        assert [example["answer"] for example in examples] == [record.columns[second][row] for row in rows]
        assert {example["image"] for example in examples} <= pairs.images.keys()
    assert len(pairs.examples) == 12


def test_curves_of_stages_follow_each_other(record: RunRecord) -> None:
    rows = list(zip(*record.curves.values(), strict=True))
    assert rows == [
        (1, "loss", "loss", 0.5), (1, "accuracy", "student", 60.0), (1, "share", "teacher2", 90.0),
        (1, "share", "teacher2, positive flips", 100.0), (2, "loss", "loss", -0.5), (2, "share", "teacher2", 90.0),
        (2, "share", "teacher2, positive flips", 100.0), (3, "loss", "loss", 0.5), (3, "accuracy", "student", 60.0),
        (3, "share", "teacher1", 90.0), (3, "share", "teacher1, positive flips", 100.0), (4, "loss", "loss", -0.5),
        (4, "share", "teacher1", 90.0), (4, "share", "teacher1, positive flips", 100.0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("interval", "words"),
    [([1.0, 3.0], "is better for it"), ([-3.0, -1.0], "is worse for it"), ([-1.0, 3.0], "neither better nor worse")],
)
def test_the_first_sentence_goes_by_the_interval(record: RunRecord, interval: list[float], words: str) -> None:
    first = next(overview(record.results | {"transfer_delta_ci95": interval}))
    assert words in first and f"95% interval {interval[0]:+.2f} to {interval[1]:+.2f}" in first


def test_a_run_without_training_has_no_curves(record: RunRecord) -> None:
    untrained = replace(
        record, results=record.results | {"epochs": 0}, curves={name: [] for name in record.curves},
        columns={name: column for name, column in record.columns.items() if name != "after_confidence"},
    )  # fmt: skip
    page = run_page(untrained)
    assert not page.figures and "ensemble" in page.overview[0]


def test_the_page_is_small_and_whole(folder: Path) -> None:
    write_run_page(folder)
    file = folder / "report.html"
    assert file.stat().st_size < 400_000
    html = file.read_text()
    assert "Training." in html and "<svg" in html
    assert html.count("<script") == html.count("</script>")
