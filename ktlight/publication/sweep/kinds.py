"""What methods did by kind of teacher, and what their guards cost and brought."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ktlight.publication.sweep.intervals import two_way_interval
from ktlight.publication.sweep.labels import without_guard

if TYPE_CHECKING:
    from pandas import DataFrame

EQUAL = 3.0
"""A teacher within so many points of the student before is about as good."""
KINDS = ("weaker", "equal", "stronger")
KIND_COLUMNS = ["samples", "method", "teacher", "pairs", "mean_delta", "ci95_low", "ci95_high", "runs", "success",
                "better", "worse", "mean_gain", "mean_loss"]  # fmt: skip
GUARD_COLUMNS = ["samples", "method", "guard", "trainings", "mean_delta", "mean_delta_guarded", "success",
                 "success_guarded", "worse", "worse_guarded", "worse_percent", "worse_percent_guarded",
                 "mean_share"]  # fmt: skip


def teacher_kind(difference: float) -> str | None:
    """Return how good a teacher is by its accuracy minus that of the student before, in points; None of a control.

    >>> [teacher_kind(points) for points in (-3.01, -3.0, 3.0, 3.01, float("nan"))]
    ['weaker', 'equal', 'equal', 'stronger', None]
    """
    if difference != difference:
        return None
    return "equal" if abs(difference) <= EQUAL else "weaker" if difference < 0 else "stronger"


def kind_table(runs: "DataFrame", pairs: "DataFrame") -> "DataFrame":
    """Return one row per method and kind of teacher (weaker, equal, stronger, all).

    ``mean_delta`` is over pairs, with the interval of `two_way_interval`; ``success`` is the share of runs with a delta
    above 0 in percent, ``better`` and ``worse`` count runs whose own interval lies above or below 0. Gain and loss are
    over pairs. A control has a row for all its students only.
    """
    import pandas as pd

    rows = []
    trained = runs[runs["epochs"] > 0]
    for samples, method in pairs[["samples", "method"]].drop_duplicates().itertuples(index=False):
        own = [_of(table, samples, method) for table in (trained, pairs)]
        for kind in (*KINDS, "all"):
            of_runs, of_pairs = own if kind == "all" else (_of_kind(table, kind) for table in own)
            if len(of_pairs):
                rows.append({"samples": samples, "method": method, "teacher": kind, **_means(of_pairs),
                             **_counts(of_runs)})  # fmt: skip
    return pd.DataFrame(rows, columns=KIND_COLUMNS)


def guard_table(runs: "DataFrame") -> "DataFrame":
    """Return one row per method and guard: the same trainings without and with it.

    Means and shares are over trainings; ``success`` is the share with a delta above 0, ``worse`` counts those whose
    interval lies below 0, ``mean_share`` is how much of the way from the initial student was kept. All but counts in
    percent.
    """
    import pandas as pd

    return pd.DataFrame(_guarded(runs), columns=GUARD_COLUMNS)


def _guarded(runs: "DataFrame") -> Iterator[dict[str, Any]]:
    keys = ["samples", "method", "teacher", "student", "seed", "weights_before"]
    guarded = runs[runs["guard"] != "off"]
    before = runs[runs["guard"] == "off"].drop_duplicates(keys)
    plain = guarded.assign(method=guarded["method"].map(without_guard))
    both = plain.merge(before, on=keys, suffixes=("", "_before"))
    for (samples, method, guard), group in both.groupby(["samples", "method", "guard"], sort=False):
        before_it, after_it = (_outcome(group, suffix) for suffix in ("_before", ""))
        yield {
            "samples": samples,
            "method": method,
            "guard": guard,
            "trainings": len(group),
            **before_it,
            **{f"{name}_guarded": value for name, value in after_it.items()},
            "mean_share": 100 * group["guard_share"].mean(),
        }


def _outcome(group: "DataFrame", suffix: str) -> dict[str, Any]:
    delta, worse = group[f"delta{suffix}"], group[f"high{suffix}"] < 0
    return {
        "mean_delta": delta.mean(),
        "success": 100 * (delta > 0).mean(),
        "worse": int(worse.sum()),
        "worse_percent": 100 * worse.mean(),
    }


def _means(pairs: "DataFrame") -> dict[str, Any]:
    low, high = two_way_interval(pairs["delta"], pairs["teacher"], pairs["student"])
    return {
        "pairs": len(pairs),
        "mean_delta": pairs["delta"].mean(),
        "ci95_low": low,
        "ci95_high": high,
        "mean_gain": pairs["gain"].mean(),
        "mean_loss": pairs["loss"].mean(),
    }


def _counts(runs: "DataFrame") -> dict[str, Any]:
    return {
        "runs": len(runs),
        "success": 100 * (runs["delta"] > 0).mean(),
        "better": int((runs["low"] > 0).sum()),
        "worse": int((runs["high"] < 0).sum()),
    }


def _of(table: "DataFrame", samples: str, method: str) -> "DataFrame":
    return table[(table["samples"] == samples) & (table["method"] == method)]


def _of_kind(table: "DataFrame", kind: str) -> "DataFrame":
    return table[table["difference"].map(teacher_kind) == kind]
