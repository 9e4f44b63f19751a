"""Where a transfer's gains lie, from the predictions of a finished run.

Roth et al. (ICLR 2024, arXiv 2310.17653), sections 3 and 5, and their public code. Everything is in NumPy, so that a
report starts without torch.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TOP = (2, 5, 20, 50, 100)
"""p of the top-p% classes."""
NO_RATES = {
    **{f"{what}_top{percent}": nan for percent in TOP for what in ("sample_rate", "class_rate", "gain")},
    "gain_outside": nan, "top50_classes": nan, "top50_classes_by_chance": nan,
}  # fmt: skip
"""The figures by class where no predictions are there to work them out of."""
DRAWS = 20
PREDICTED = re.compile(r"label|before|teacher\d*|after.*|unguarded")
"""Columns of ``predictions.parquet`` to read."""
Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]


def read_predictions(folder: Path) -> dict[str, Numbers] | None:
    """Return the predicted classes of a run by column, ``[n]`` each, or None where they cannot be read."""
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(folder / "predictions.parquet") as file:
            names = [name for name in file.schema_arrow.names if PREDICTED.fullmatch(name)]
            table = file.read([name for name in names if not name.endswith("confidence")], use_threads=False)
    except (OSError, ValueError):  # pyarrow's own errors are among these
        return None
    return {name: table[name].to_numpy() for name in table.column_names}


def top_classes(counts_C: Numbers, percent: int) -> Mask:
    """Return the fewest classes, by count, that hold ``percent`` of all flips, ``[C]``; ties go to the lower index."""
    order_C = np.argsort(-counts_C, kind="stable")
    sorted_C = counts_C[order_C]
    top_C = np.zeros(len(counts_C), bool)
    top_C[order_C] = 100 * (np.cumsum(sorted_C) - sorted_C) < percent * counts_C.sum()
    return top_C


def transfer_rates(columns: Mapping[str, Numbers], num_classes: int) -> dict[str, float]:
    """Return how much of the teacher's complementary knowledge arrived, over all its classes and the top-p% of them.

    Args:
        columns: As of `read_predictions`; several teachers are right where any of them is.
        num_classes: C.

    Returns:
        In percent, NaN where nothing is divided by nothing. ``sample_rate_top{p}``: of the teacher's positive flips in
        these classes, the share that the student now has right. ``class_rate_top{p}``: all that the student gained in
        these classes, over the teacher's positive flips in them; it can exceed 100. ``gain_top{p}``: the share of all
        that the student gained that lies in these classes. ``gain_outside``: the share in classes without any flip.
        ``top50_classes``: in how many classes half of the teacher's positive flips lie, and
        ``top50_classes_by_chance``: in how many half of equally many samples would, drawn among those that the student
        had wrong (mean of 20 draws).
    """
    labels, wrong = columns["label"], columns["before"] != columns["label"]
    teachers = [column for name, column in columns.items() if re.fullmatch(r"teacher\d*", name)]
    flips = wrong & np.any([column == labels for column in teachers], axis=0)
    gained = wrong & (columns["after"] == labels)
    flips_C, gained_C, both_C = (
        np.bincount(labels[mask], minlength=num_classes) for mask in (flips, gained, flips & gained)
    )
    rates: dict[str, float] = {}
    for percent in TOP:
        top_C = top_classes(flips_C, percent)
        there = flips_C[top_C].sum()
        rates[f"sample_rate_top{percent}"] = _percent(both_C[top_C].sum(), there)
        rates[f"class_rate_top{percent}"] = _percent(gained_C[top_C].sum(), there)
        rates[f"gain_top{percent}"] = _percent(gained_C[top_C].sum(), gained_C.sum())
    rates["gain_outside"] = _percent(gained_C[flips_C == 0].sum(), gained_C.sum())
    return {**rates, **_concentration(flips_C, np.bincount(labels[wrong], minlength=num_classes))}


def _concentration(flips_C: Numbers, wrong_C: Numbers) -> dict[str, float]:
    if not flips_C.sum():
        return {"top50_classes": nan, "top50_classes_by_chance": nan}
    by_chance = _size_by_chance(int(flips_C.sum()), wrong_C.tobytes())
    return {"top50_classes": float(top_classes(flips_C, 50).sum()), "top50_classes_by_chance": by_chance}


@lru_cache(maxsize=1000)  # many methods and seeds for each pair
def _size_by_chance(flips: int, wrong: bytes) -> float:
    wrong_C = np.frombuffer(wrong, np.int64)
    draws_DC = np.random.default_rng(0).multivariate_hypergeometric(wrong_C, flips, DRAWS)
    return float(np.mean([top_classes(counts_C, 50).sum() for counts_C in draws_DC]))


def stage_changes(columns: Mapping[str, Numbers]) -> list[dict[str, float]]:
    """Return knowledge gain and loss in percent after each stage of a schedule, against the very first student."""
    labels = columns["label"]
    right_before = columns["before"] == labels
    numbers = sorted(int(name.removeprefix("after_stage")) for name in columns if name.startswith("after_stage"))
    changes = []
    for number in numbers:
        right = columns[f"after_stage{number}"] == labels
        gain, loss = (float(100 * mask.mean()) for mask in (right & ~right_before, right_before & ~right))
        changes.append({"stage": number, "gain": gain, "loss": loss, "delta": gain - loss})
    return changes


def _percent(part: Any, whole: Any) -> float:
    return float(100 * part / whole) if whole else nan
