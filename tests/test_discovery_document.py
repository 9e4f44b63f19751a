"""docs/discovery.md: its example is what the code computes, and its columns are those of the files."""

import re

import pytest
import torch

from ktlight.functional.class_flips import by_class, class_flips, expertise, top_class_sets
from ktlight.functional.pairwise import count_pairs, error_consistency, greedy_coverage
from ktlight.functional.statistics import class_entropy
from ktlight.report.discovery import SCHEMAS
from tests.conftest import REPOSITORY

TEXT = (REPOSITORY / "docs" / "discovery.md").read_text()
WORDS = " ".join(TEXT.split())


@pytest.fixture(scope="module")
def right() -> torch.Tensor:
    rows = re.findall(r"^\| [ABC] \| (.*) \|$", TEXT, re.M)
    table = [[int(cell) for cell in row.split(" | ")] for row in rows]
    assert len(table) == 3 and all(sum(row[:6]) == row[6] for row in table)
    return torch.tensor(table)[:, :6].bool()


def test_example_of_a_pair(right: torch.Tensor) -> None:
    pairs = count_pairs(right)
    positive, negative = (100 * float(count[0, 1]) / 6 for count in (pairs.positive, pairs.negative))
    assert f"2 of 6, {positive:.2f}%" in WORDS and f"images 4, 5 and 6: {negative:.2f}%" in WORDS
    acc_a, acc_b = (100 * float(right[model].double().mean()) for model in (0, 1))
    assert f"{acc_a:.2f} - {acc_b:.2f} = {positive:.2f} - {negative:.2f}" in WORDS
    assert f"= {float(error_consistency(pairs)[0, 1]):.2f}." in WORDS
    assert f"all {int(pairs.either[0, 1])}, 100%" in WORDS


def test_example_of_classes(right: torch.Tensor) -> None:
    labels = torch.tensor([0, 0, 0, 1, 1, 1])
    per_class = by_class(right, labels, 2)
    counts = class_flips(per_class, slice(0, 3))[0, 1]
    assert "{} in class 0, {} in class 1".format(*counts.tolist()) in WORDS
    assert f"in nats: {float(class_entropy(counts)):.0f} (evenly spread, it would be ln 2 = 0.69)" in WORDS
    assert top_class_sets(counts, (20,))[0].mask.tolist() == [True, False] and "class 0 alone" in WORDS
    found = expertise(per_class)
    assert f"{float(found.excess[0, 0]):+.2f} points" in WORDS


def test_example_of_coverage(right: torch.Tensor) -> None:
    chosen = greedy_coverage(right, 3)
    assert chosen == ([1, 0], [4, 6]) and f"first B (4 of 6, {100 * 4 / 6:.2f}%), then A" in WORDS


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_column_is_described(name: str) -> None:
    lines = [line for line in TEXT.splitlines() if line.startswith(f"| `{name}.parquet`")]
    described = TEXT.partition("| column of `pairs.parquet`")[2] if name == "pairs" else lines[0]
    assert not [column for column in SCHEMAS[name].names if f"`{column}`" not in described]
