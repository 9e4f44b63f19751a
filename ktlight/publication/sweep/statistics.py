"""What many transfers say together: success, means with intervals and bins; n with every figure.

Seeds come first: the runs of one method, teacher and student are averaged to the figures of a *pair*, and all else is
over pairs. Nothing is ever averaged over different samples. What is trained without a teacher, with one, and with
several has grids of its own: the pair of a control is a student.
"""

from itertools import combinations, permutations
from math import inf, nan
from typing import TYPE_CHECKING, Any

import numpy as np

from ktlight.publication.sweep.intervals import quantile, two_way_interval

if TYPE_CHECKING:
    from pandas import DataFrame, Series

PAIR = ["samples", "method", "teacher", "student"]
FACTS = ["base_method", "part", "schedule", "router", "guard", "teachers", "epochs", "teacher_kind", "student_kind",
         "teacher_params", "student_params"]  # fmt: skip
MEANS = ["acc_teacher", "acc_before", "acc_after", "difference", "delta", "gain", "loss", "complementary_knowledge",
         "transfer_rate"]  # fmt: skip
SUCCESS = ["method", "median_success", "mean_delta", "n", "samples", "ci95_low", "ci95_high", "pairs", "pairs_in_grid",
           "runs", "better", "worse", "mean_delta_common", "pairs_common"]  # fmt: skip
EDGES = (-inf, -15.0, -3.0, -1.0, 1.0, 3.0, 15.0, inf)
"""Of the bins of the performance difference, in points: those of Roth et al. with open ends."""


def pair_table(runs: "DataFrame") -> "DataFrame":
    """Return one row per method and pair, averaged over its runs; methods without training are left out.

    The 95% interval is over the test samples for one run, over the seeds (Student's t) for three or more runs. Of two,
    Student's t would be 13 times as wide as their standard error; the interval is the range that holds both deltas and
    the mean of their own intervals.
    """
    trained = runs[runs["epochs"] > 0]
    groups = trained.groupby(PAIR, sort=False)
    rates = [name for name in runs.columns if name.startswith(("sample_rate", "class_rate", "gain_", "top50_"))]
    pairs = groups[[*MEANS, *rates]].mean().join(groups[FACTS].first())
    pairs["runs"] = groups.size()
    pairs["success"] = 100 * (trained["delta"] > 0).groupby([trained[name] for name in PAIR], sort=False).mean()
    pairs["lowest"], pairs["highest"] = groups["delta"].min(), groups["delta"].max()
    margin = groups["delta"].sem() * [quantile(count - 1) for count in pairs["runs"]]
    own = groups[["low", "high"]].mean()
    pairs["low"] = (pairs["delta"] - margin).where(pairs["runs"] > 2, np.minimum(own["low"], pairs["lowest"]))
    pairs["high"] = (pairs["delta"] + margin).where(pairs["runs"] > 2, np.maximum(own["high"], pairs["highest"]))
    return pairs.reset_index()


def student_table(pairs: "DataFrame") -> "DataFrame":
    """Return one row per method and student over its teachers: success, and the spread of delta, gain and loss.

    ``success`` is the share of teachers with a delta above 0, in percent. Standard deviations divide by n - 1.
    """
    groups = pairs.groupby(["samples", "method", "student"], sort=False)
    table = groups["delta"].agg(success=lambda delta: 100 * (delta > 0).mean(), mean_delta="mean", std_delta="std")
    for name in ("gain", "loss"):
        table[f"mean_{name}"], table[f"std_{name}"] = groups[name].mean(), groups[name].std()
    table["teachers"] = groups.size()
    return table.reset_index()


def success_table(pairs: "DataFrame") -> "DataFrame":
    """Return one row per method: the median success over students, and the mean delta over pairs with its interval.

    ``n`` counts students, ``pairs`` the pairs that the mean is over, of ``pairs_in_grid``. Where methods were tried on
    different pairs, their means do not compare: ``mean_delta_common`` is over the ``pairs_common`` that all have (all
    with one teacher, with several, and the controls, each by themselves).
    ``better`` and ``worse`` count the pairs whose interval lies above or below 0. The interval of the mean is that of
    `two_way_interval`; of a single pair, that pair's.
    """
    import pandas as pd

    students, rows = student_table(pairs), []
    for (samples, _), others in pairs.groupby(["samples", by_teachers(pairs)], sort=False):
        in_grid, common = len(_grid_pairs(others)), _common(others)
        for method, mine in others.groupby("method", sort=False):
            shared = mine[mine.set_index(["teacher", "student"]).index.isin(common)]
            success = students["success"][(students["samples"] == samples) & (students["method"] == method)]
            low, high = _mean_interval(mine)
            rows.append(
                {
                    "method": method,
                    "median_success": success.median(),
                    "mean_delta": mine["delta"].mean(),
                    "n": len(success),
                    "samples": samples,
                    "ci95_low": low,
                    "ci95_high": high,
                    "pairs": len(mine),
                    "pairs_in_grid": in_grid,
                    "runs": int(mine["runs"].sum()),
                    "better": int((mine["low"] > 0).sum()),
                    "worse": int((mine["high"] < 0).sum()),
                    "mean_delta_common": shared["delta"].mean() if len(shared) else nan,
                    "pairs_common": len(shared),
                }
            )
    return pd.DataFrame(rows, columns=SUCCESS)


def difference_table(pairs: "DataFrame") -> "DataFrame":
    """Return how much more each method gains than each other one, over the pairs that both have.

    ``difference`` is the mean over these pairs of the delta of ``method`` minus that of ``other``, with the interval of
    `two_way_interval`, which is not there for a single pair.
    """
    import pandas as pd

    rows = []
    for samples, group in pairs.groupby("samples", sort=False):
        methods, found = {method: mine for method, mine in group.groupby("method")}, {}
        for method, other in combinations(methods, 2):
            more = paired(methods[method], methods[other])
            if len(more):
                mean = more.mean()
                low, high = two_way_interval(more, *(more.index.get_level_values(level) for level in (0, 1)))
                found[method, other] = (mean, low, high, len(more))
                found[other, method] = (0.0 - mean, 0.0 - high, 0.0 - low, len(more))  # -0.0 would be shown as -0.00
        rows += [(samples, *two, *found[two]) for two in permutations(methods, 2) if two in found]
    return pd.DataFrame(rows, columns=["samples", "method", "other", "difference", "ci95_low", "ci95_high", "pairs"])


def paired(mine: "DataFrame", other: "DataFrame", figure: str = "delta") -> "Series":
    """Return a figure of one method's pairs minus that of another's, by teacher and student, where both have it.

    A control has one value a student, which counts for each pair of the student.
    """
    import pandas as pd

    of_controls = [(each["teachers"] == 0).all() for each in (mine, other)]
    if of_controls[0] and not of_controls[1]:
        return -paired(other, mine, figure)
    # a report asks this of every two methods, and for a few dozen pairs a dictionary is much faster than pandas
    keys = ["student"] if of_controls[1] else ["teacher", "student"]
    theirs = dict(zip(zip(*(other[key] for key in keys), strict=True), other[figure], strict=True))
    pairs = zip(mine["teacher"], mine["student"], mine[figure], strict=True)
    found = [((t, s), value - theirs[key]) for t, s, value in pairs if (key := (t, s)[-len(keys) :]) in theirs]
    index = pd.MultiIndex.from_tuples([pair for pair, _ in found], names=["teacher", "student"])
    return pd.Series([more for _, more in found], index=index, name=figure, dtype=float).dropna()


def missing_table(runs: "DataFrame") -> "DataFrame":
    """Return what is absent from the grid of all teachers, students, methods and seeds seen on the same samples.

    A model with itself is expected only where some run has it, and so are several teachers of a student.
    """
    import pandas as pd

    names = ["method", "teacher", "student", "seed"]
    trained, parts = runs[runs["epochs"] > 0], []
    for (samples, _), group in trained.groupby(["samples", by_teachers(trained)], sort=False):
        expected = pd.MultiIndex.from_tuples(
            [(method, *pair, seed) for method in group["method"].unique() for pair in _grid_pairs(group)
             for seed in sorted(group["seed"].unique())], names=names,
        )  # fmt: skip
        absent = expected[~expected.isin(pd.MultiIndex.from_frame(group[names]))]
        parts.append(absent.to_frame(index=False).assign(samples=samples))
    return pd.concat(parts) if parts else pd.DataFrame(columns=[*names, "samples"])


def by_teachers(table: "DataFrame") -> "Series":
    """Return for each row whether it is of a control (0), of one teacher (1) or of several (2)."""
    return table["teachers"].clip(upper=2)


def binned(pairs: "DataFrame") -> "DataFrame":
    """Return mean and quartiles of the delta per method and bin of the performance difference, of bins with pairs."""
    import pandas as pd

    pairs = pairs[pairs["teachers"] > 0]
    bins = pd.cut(pairs["difference"], EDGES)
    groups = pairs.assign(bin=bins).groupby(["samples", "method", "bin"], observed=True)
    table = groups["delta"].agg(mean="mean", q25=lambda d: d.quantile(0.25), q75=lambda d: d.quantile(0.75), n="size")
    table["difference"] = groups["difference"].mean()
    table = table.reset_index()
    table["bin"] = [_range(each.left, each.right) for each in table["bin"]]
    return table


def model_facts(pairs: "DataFrame") -> list[dict[str, Any]]:
    """Return the models of some pairs by accuracy, the lowest first: ``name``, ``acc``, ``family``, ``num_params``.

    Several teachers of one run are a model without family and parameters.
    """
    facts: dict[str, dict[str, Any]] = {}
    for role, accuracy in (("teacher", "acc_teacher"), ("student", "acc_before")):
        columns = [role, accuracy, f"{role}_kind", f"{role}_params"]
        taught = pairs[pairs["teachers"] > 0] if role == "teacher" else pairs
        for name, acc, kind, params in taught[columns].itertuples(index=False, name=None):
            known = params == params and params is not None  # pandas makes NaN of None
            facts[name] = {
                "name": name,
                "acc": acc,
                "family": kind if known else "",
                "num_params": int(params) if known else None,
            }
    return sorted(facts.values(), key=lambda model: model["acc"])


def _range(low: float, high: float) -> str:
    return f"to {high:g}" if low == -inf else f"above {low:g}" if high == inf else f"{low:g} to {high:g}"


def _mean_interval(pairs: "DataFrame") -> tuple[float, float]:
    if len(pairs) == 1:
        return float(pairs["low"].iloc[0]), float(pairs["high"].iloc[0])
    return two_way_interval(pairs["delta"], pairs["teacher"], pairs["student"])


def _grid_pairs(rows: "DataFrame") -> list[tuple[str, str]]:
    """Return all pairs of the teachers and students seen; several teachers, or a model with itself, only as seen."""
    seen = dict.fromkeys(zip(rows["teacher"], rows["student"], strict=True))
    if (rows["teachers"] > 1).any():
        return list(seen)
    students = list(dict.fromkeys(rows["student"]))
    teachers = dict.fromkeys(rows["teacher"])
    return [pair for t in teachers for s in students if (pair := (t, s)) in seen or t != s]


def _common(pairs: "DataFrame") -> list[tuple[str, str]]:
    """Return the pairs that every method has."""
    counts = pairs.groupby(["teacher", "student"])["method"].nunique()
    return list(counts.index[counts == pairs["method"].nunique()])
