"""Findings in plain data: pairs to try, near duplicates, where flips lie beside chance."""

import pytest
import torch
from torch import Tensor

from ktlight.discovery.classes import chance, class_figures
from ktlight.discovery.compare import AllAnswers, Figures, agreement_figures, flip_figures
from ktlight.discovery.findings import best_pairs, concentration, coverage, duplicates, experts
from ktlight.discovery.relatedness import RelatedClasses
from ktlight.functional.class_flips import by_class, expertise

CLASSES, SAMPLES = 5, 200
NAMES = ["one", "two", "twin", "weak"]


@pytest.fixture(scope="module")
def answers() -> AllAnswers:
    """Four models: the third is nearly the second, the last knows one class only."""
    generator = torch.Generator().manual_seed(0)
    label = torch.arange(SAMPLES) % CLASSES
    known = torch.rand(4, SAMPLES, generator=generator) < torch.tensor([[0.8], [0.6], [0.6], [0.0]])
    known[2] = known[1]
    known[2, :4] = ~known[1, :4]
    known[3] = label == 2
    wrong = (label + 1 + torch.randint(CLASSES - 1, (4, SAMPLES), generator=generator)) % CLASSES
    confidence = torch.randn(4, SAMPLES, generator=generator)
    return AllAnswers(torch.where(known, label, wrong).int(), confidence, label, torch.arange(SAMPLES), CLASSES)


@pytest.fixture(scope="module")
def right_by_class(answers: AllAnswers) -> list:
    assert answers.label is not None
    return by_class(answers.right, answers.label, CLASSES)


@pytest.fixture(scope="module")
def figures(answers: AllAnswers, right_by_class: list) -> Figures:
    found = class_figures(right_by_class, RelatedClasses({}, 4, 0)).figures
    return {**agreement_figures(answers), **flip_figures(answers, 0, 0), **found}


def test_pairs_to_try_are_those_with_most_flips_a_student_once(
    answers: AllAnswers, right_by_class: list, figures: Figures
) -> None:
    top = class_figures(right_by_class, RelatedClasses({}, 4, 0)).top
    rows = best_pairs(figures, NAMES, list("abcde"), top)
    flips = figures["positive_flips"]
    assert [row["student"] for row in rows] == list(dict.fromkeys(row["student"] for row in rows)) and len(rows) == 3
    assert rows[0]["positive_flips"] == float(flips.max()) and rows[0]["student"] == "weak"
    for row in rows:
        teacher, student = NAMES.index(row["teacher"]), NAMES.index(row["student"])
        assert row["positive_flips"] == float(flips[:, student].max()) == float(flips[teacher, student])
        assert len(row["top20_classes"]) == figures["num_top20_classes"][teacher, student]
    assert len(best_pairs(figures, NAMES[:2], list("abcde"), top)) == 2


def test_near_duplicates_by_error_consistency_or_agreement(figures: Figures) -> None:
    rows, threshold = duplicates(figures, NAMES)
    assert [(row["first"], row["second"]) for row in rows] == [("two", "twin")]
    assert 0.9 == threshold <= rows[0]["consistency"] < 1
    without_labels = {
        "agreement": torch.tensor([[100.0, 99.5, 50], [99.5, 100, 50], [50, 50, 100]], dtype=torch.float64)
    }
    assert duplicates(without_labels, NAMES[:3]) == (
        [{"first": "one", "second": "two", "consistency": 0.995}], 0.99,
    )  # fmt: skip


def test_flips_in_one_class_are_concentrated_beyond_chance(answers: AllAnswers, figures: Figures) -> None:
    chosen: Figures = {name: matrix[[3]][:, :3] for name, matrix in figures.items()}  # what the weak model knows
    found = concentration(chosen, answers, seed=0)
    assert found is not None and found["num_top_classes"] == dict.fromkeys(("2", "5", "20", "50"), 1.0)
    assert found["flip_entropy"] == 0 < 1 < found["chance_entropy"]
    none: Figures = {**chosen, "positive_flips": torch.zeros(1, 3, dtype=torch.float64)}
    assert concentration(none, answers, seed=0) is None


def test_chance_is_the_average_of_draws_without_replacement() -> None:
    label = torch.arange(SAMPLES) % CLASSES
    everything = chance(label, CLASSES, SAMPLES, 3, seed=0)
    assert float(everything["num_top50_classes"]) == 3 and float(everything["num_top20_classes"]) == 1
    assert float(everything["flip_entropy"]) == pytest.approx(float(torch.tensor(CLASSES).double().log()))
    single = chance(label, CLASSES, 1, 3, seed=0)
    assert float(single["flip_entropy"]) == 0 and float(single["num_top50_classes"]) == 1


def test_experts_are_named_with_their_clearest_classes(right_by_class: list) -> None:
    rows = experts(expertise(right_by_class), NAMES, list("abcde"))
    weak = next(row for row in rows if row["model"] == "weak")
    assert weak["count"] == 1 and [each["class"] for each in weak["classes"]] == ["c"]
    assert [row["count"] for row in rows] == sorted((row["count"] for row in rows), reverse=True)


def test_coverage_is_in_percent(answers: AllAnswers) -> None:
    right: Tensor = answers.right
    rows = coverage(right, NAMES, 2)
    assert rows[0] == {"model": "one", "covered": pytest.approx(100 * float(right[0].double().mean()))}
    assert rows[1]["covered"] > rows[0]["covered"]
