"""The figures against their definitions in the paper, counted sample by sample."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ktlight.report.results import change, stage_figures, transfer_figures

CLASSES = ["a", "b", "c"]


@st.composite
def columns(draw: st.DrawFn) -> dict[str, list[int]]:
    count = draw(st.integers(1, 30))
    return {
        name: draw(st.lists(st.integers(0, 2), min_size=count, max_size=count))
        for name in ("label", "before", "teacher", "ensemble", "ensemble_mean", "after")
    }


def count(table: dict[str, list[int]], right: set[str], wrong: set[str]) -> int:
    """Return on how many samples the models of one set are right and those of the other wrong."""
    total = 0
    for row, label in enumerate(table["label"]):
        total += all(table[name][row] == label for name in right) and all(table[name][row] != label for name in wrong)
    return total


def figures_of(table: dict[str, list[int]]) -> dict[str, Any]:
    return transfer_figures({name: torch.tensor(column) for name, column in table.items()}, CLASSES)


@given(columns())
def test_figures_equal_counts_of_samples(table: dict[str, list[int]]) -> None:
    figures, total = figures_of(table), len(table["label"])
    assert figures["num_eval"] == total
    for name in ("before", "teacher", "ensemble", "ensemble_mean", "after"):
        assert figures[f"acc_{name}"] == pytest.approx(100 * count(table, {name}, set()) / total)
    gain = 100 * count(table, {"after"}, {"before"}) / total
    loss = 100 * count(table, {"before"}, {"after"}) / total
    assert figures["knowledge_gain"] == pytest.approx(gain)
    assert figures["knowledge_loss"] == pytest.approx(loss)
    assert figures["transfer_delta"] == pytest.approx(gain - loss)
    positive = count(table, {"teacher"}, {"before"})
    assert figures["complementary_knowledge"] == pytest.approx(100 * positive / total)
    if positive:
        moved = count(table, {"teacher", "after"}, {"before"})
        assert figures["transfer_rate"] == pytest.approx(100 * moved / positive)
    else:
        assert figures["transfer_rate"] is None
    low, high = figures["transfer_delta_ci95"]
    assert low <= high and 0 <= figures["mcnemar_p"] <= 1


@given(columns())
def test_where_the_complementary_knowledge_lies(table: dict[str, list[int]]) -> None:
    figures = figures_of(table)
    flips = [
        label for label, before, teacher in zip(table["label"], table["before"], table["teacher"], strict=True)
        if teacher == label != before
    ]  # fmt: skip
    shares = [flips.count(number) / len(flips) for number in range(3)] if flips else []
    entropy = -sum(share * math.log(share) for share in shares if share)
    assert figures["flip_entropy"] == pytest.approx(entropy, abs=1e-6)
    assert set(figures["top20_classes"]) <= set(CLASSES)


def test_the_interval_of_a_worked_example() -> None:
    """Bonett and Price (2012): 30 gained, 10 lost of 200, by their formula (12 places, computed by hand)."""
    before = torch.tensor([1] * 30 + [0] * 10 + [0] * 160)
    after = torch.tensor([0] * 30 + [1] * 10 + [0] * 160)
    figures = change(before, after, torch.zeros(200, dtype=torch.int64), "teacher_")
    p12, p21 = 31 / 202, 11 / 202
    margin = 1.959963984540054 * math.sqrt((p12 + p21 - (p12 - p21) ** 2) / 202)
    expected = [100 * (p12 - p21 - margin), 100 * (p12 - p21 + margin)]
    assert figures["teacher_transfer_delta_ci95"] == pytest.approx(expected)
    assert figures["teacher_transfer_delta"] == pytest.approx(10.0)
    # the exact two-sided binomial p of 30 against 10
    tail = sum(math.comb(40, k) for k in range(11)) / 2**40
    assert figures["teacher_mcnemar_p"] == pytest.approx(2 * tail)


@given(columns(), st.data())
def test_several_teachers_know_what_any_of_them_knows(table: dict[str, list[int]], data: st.DataObject) -> None:
    total = len(table["label"])
    table["teacher1"] = table.pop("teacher")
    table["teacher2"] = data.draw(st.lists(st.integers(0, 2), min_size=total, max_size=total))
    table["teacher2_after"] = table["ensemble"]
    figures = figures_of(table)
    known = moved = 0
    for row, label in enumerate(table["label"]):
        new = table["before"][row] != label and label in (table["teacher1"][row], table["teacher2"][row])
        known += new
        moved += new and table["after"][row] == label
    assert figures["complementary_knowledge"] == pytest.approx(100 * known / total)
    assert figures["transfer_rate"] == (pytest.approx(100 * moved / known) if known else None)
    accuracies = [100 * count(table, {name}, set()) / total for name in ("teacher1", "teacher2")]
    assert figures["acc_teacher"] == pytest.approx(max(accuracies))
    assert [each["acc"] for each in figures["teachers"]] == pytest.approx(accuracies)
    for name, each in zip(("teacher1", "teacher2"), figures["teachers"], strict=True):
        assert each["complementary_knowledge"] == pytest.approx(100 * count(table, {name}, {"before"}) / total)
    delta = 100 * (count(table, {"teacher2_after"}, set()) - count(table, {"teacher2"}, set())) / total
    assert figures["teacher2_transfer_delta"] == pytest.approx(delta)
    assert "teacher1_transfer_delta" not in figures


def test_a_stage_is_measured_from_where_it_started() -> None:
    labels = torch.zeros(10, dtype=torch.int64)

    def right(number: int) -> torch.Tensor:
        return (torch.arange(10) >= number).long()

    table = {"label": labels, "before": right(2), "after_stage1": right(5), "after_stage2": right(4)}
    chained, single = (stage_figures(table, 2, chained=chained) for chained in (True, False))
    assert chained["transfer_delta"] == pytest.approx(-10) and chained["overall_delta"] == pytest.approx(20)
    assert single["transfer_delta"] == pytest.approx(20) and single["acc_after"] == pytest.approx(40)
    assert stage_figures(table, 1, chained=True)["transfer_delta"] == pytest.approx(30)
