"""What a discovery found, as the plain data of ``discovery.json``."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from ktlight.discovery.classes import ClassSets, chance
from ktlight.discovery.compare import AllAnswers, Figures
from ktlight.functional.class_flips import Expertise
from ktlight.functional.pairwise import greedy_coverage
from ktlight.report.discovery import TOP_PERCENTS
from ktlight.report.discovery_facts import Concentration

BEST_PAIRS = 3
NEAR_DUPLICATE = {True: 0.9, False: 0.99}
"""With labels the error consistency, without the share of agreement, from which two models are near duplicates."""
NAMED_CLASSES = 5
DRAWS = 200


def best_pairs(
    figures: Figures, names: Sequence[str], class_names: Sequence[str], top: ClassSets
) -> list[dict[str, Any]]:
    """Return the pairs with the most positive flips, each student once, none without any.

    Args:
        figures: Figures of the pairs, of at least as many models.
        names: Names of the models.
        class_names: Names of the classes.
        top: The top-20% classes.
    """
    models = len(names)
    rows: list[dict[str, Any]] = []
    for place in figures["positive_flips"][:models, :models].flatten().argsort(descending=True, stable=True).tolist():
        teacher, student = divmod(place, models)
        if names[student] in [row["student"] for row in rows]:
            continue
        if len(rows) == BEST_PAIRS or figures["positive_flips"][teacher, student] == 0:  # of a model over itself too
            break
        values = {name: float(matrix[teacher, student]) for name, matrix in figures.items()}
        rows.append(
            {
                "teacher": names[teacher],
                "student": names[student],
                **{name: None if value != value else value for name, value in values.items()},
                "top20_classes": [class_names[number] for number in top.of(teacher, student)],
            }
        )
    return rows


def concentration(figures: Figures, answers: AllAnswers, seed: int) -> Concentration | None:
    """Return where the positive flips of all pairs lie, beside as many samples drawn at random."""
    assert answers.label is not None
    flips = figures["positive_flips"] * len(answers.index) / 100
    some = flips > 0
    if not some.any():
        return None
    typical = round(float(flips[some].quantile(0.5)))
    expected = chance(answers.label, answers.num_classes, typical, DRAWS, seed)
    columns = {str(percent): f"num_top{percent}_classes" for percent in TOP_PERCENTS}
    return {
        "pairs": int(some.sum()),
        "flip_entropy": float(figures["flip_entropy"][some].quantile(0.5)),
        "num_top_classes": {percent: float(figures[column][some].quantile(0.5)) for percent, column in columns.items()},
        "chance_flips": typical,
        "chance_entropy": float(expected["flip_entropy"]),
        "chance_num_top_classes": {percent: float(expected[column]) for percent, column in columns.items()},
    }


def coverage(right_MN: Tensor, names: Sequence[str], most: int) -> list[dict[str, Any]]:
    """Return the greedy choice of models that complement each other, with what they cover together in percent."""
    chosen = greedy_coverage(right_MN, most)
    return [
        {"model": names[model], "covered": 100 * covered / right_MN.shape[1]}
        for model, covered in zip(chosen.models, chosen.covered, strict=True)
    ]


def duplicates(figures: Figures, names: Sequence[str]) -> tuple[list[dict[str, Any]], float]:
    """Return the pairs of near duplicates, most alike first, and the threshold."""
    labelled = "error_consistency" in figures
    alike = figures["error_consistency"] if labelled else figures["agreement"] / 100
    threshold = NEAR_DUPLICATE[labelled]
    pairs = (alike.triu(1) >= threshold).nonzero().tolist()
    rows = [{"first": names[a], "second": names[b], "consistency": float(alike[a, b])} for a, b in pairs]
    return sorted(rows, key=lambda row: -row["consistency"]), threshold


def experts(found: Expertise, names: Sequence[str], class_names: Sequence[str]) -> list[dict[str, Any]]:
    """Return how many classes each model is good at, and the clearest of them, most first."""
    rows: list[dict[str, Any]] = []
    for model, name in enumerate(names):
        classes = found.expert[model].nonzero()[:, 0]
        clearest = classes[found.excess[model, classes].argsort(descending=True, stable=True)][:NAMED_CLASSES]
        best = [
            {"class": class_names[number], "excess": float(found.excess[model, number])} for number in clearest.tolist()
        ]
        rows.append({"model": name, "count": len(classes), "classes": best})
    return sorted(rows, key=lambda row: -int(row["count"]))
