"""Which figures a report has: each with its caption, which says n, the kind of interval and what is missing."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import isqrt
from typing import TYPE_CHECKING, Any

from ktlight.publication.figures import transfers
from ktlight.publication.figures.common import MANY
from ktlight.publication.sweep import statistics
from ktlight.publication.sweep.collection import Collection
from ktlight.publication.sweep.correlations import correlations as correlation_table
from ktlight.publication.sweep.rates import TOP

if TYPE_CHECKING:
    from pandas import DataFrame

OURS = "these runs"
CORRELATED = 8
"""Correlations of fewer pairs than this are not drawn: most of them are large by chance."""
BY_STUDENT = 60
"""A figure with a row for each of more students than this would be metres long."""


@dataclass(frozen=True)
class Drawing:
    """A figure that can still be drawn as SVG, PDF or Vega.

    Attributes:
        name: Stable, in file names.
        title: A few words.
        caption: What to see in it.
        chart: The altair chart.
    """

    name: str
    title: str
    caption: str
    chart: Any


def sweep_drawings(collection: Collection, paper: "DataFrame | None" = None) -> Iterator[Drawing]:
    """Yield the figures of finished transfers, those of different samples apart, as far as there is something in them.

    Args:
        collection: The transfers.
        paper: The students of the paper, to be drawn beside.
    """
    groups = list(dict.fromkeys(collection.trained["samples"]))
    for samples in groups:
        several = len(groups) > 1
        for make in FIGURES:
            if drawing := make(collection.parts[samples]):
                name = f"{drawing.name}-{slug(samples)}" if several else drawing.name
                yield Drawing(name, drawing.title, f"{drawing.caption} On {samples}.", drawing.chart)
    if paper is not None:
        yield beside_the_paper(collection, paper)


def slug(text: str) -> str:
    """Return a text as part of a file name."""
    return re.sub(r"\W+", "-", text).strip("-").lower()


def success(collection: Collection) -> Drawing | None:
    """Return the boxes of success over students."""
    students = collection.students
    if students["student"].nunique() < 2 and students["teachers"].max() < 2:
        return None
    caption = (
        "Per student the share of teachers after which it is better. Box: quartiles over "
        f"{students['student'].nunique()} students, whiskers to the lowest and highest, a tick a student; seeds are "
        f"averaged first.{_missing(collection)}"
    )
    return Drawing("success", "Success by method", caption, transfers.success(students.assign(source=OURS)))


def beside_the_paper(collection: Collection, paper: "DataFrame") -> Drawing:
    """Return the boxes of success of the paper, with one's own beside them."""
    import pandas as pd

    own = collection.students.assign(source=OURS)
    counts = paper.groupby("method")["student"].size()
    caption = (
        f"The authors' logged results on ImageNet ({counts.min()} to {counts.max()} students a method, 20 teachers "
        "each; their filter: ten students and collapsed runs left out)"
    )
    both = pd.concat([own, paper]) if len(own) else paper
    caption += " beside these runs, which are of other data and models." if len(own) else "."
    return Drawing("success_paper", "Success, as in the paper", caption, transfers.success(both))


def delta_against_difference(collection: Collection) -> Drawing | None:
    """Return the delta against the performance difference."""
    pairs = collection.taught
    if len(pairs.drop_duplicates(["teacher", "student"])) < 2:
        return None
    caption = (
        f"{len(pairs)} points, a method and pair each (seeds averaged). Lines: mean in bins of the difference at -15, "
        f"-3, -1, 1, 3, 15 points; bands: 25% to 75% quantile of the pairs.{_missing(collection)}"
    )
    chart = transfers.delta_against_difference(pairs, statistics.binned(pairs))
    return Drawing("delta_against_difference", "Transfer delta against the performance difference", caption, chart)


def gain_and_loss(collection: Collection) -> Drawing:
    """Return gain against loss."""
    caption = (
        f"{len(collection.pairs)} points, a method and pair each (seeds averaged). Above the diagonal the student is "
        "better than before."
    )
    return Drawing("gain_and_loss", "Knowledge gain and loss", caption, transfers.gain_and_loss(collection.pairs))


def by_student(collection: Collection) -> Drawing | None:
    """Return mean and standard deviation of the delta by student and method."""
    students = collection.students
    if students["student"].nunique() > BY_STUDENT:
        return None
    caption = (
        f"Mean over up to {students['teachers'].max()} teachers; line: standard deviation over teachers (n - 1)."
        f"{_missing(collection)}"
    )
    return Drawing("by_student", "Delta by student and method", caption, transfers.by_student(students))


def top_class_rates(collection: Collection) -> Drawing | None:
    """Return the transfer rate of the top-p% classes."""
    import pandas as pd

    pairs, names = collection.taught, [f"sample_rate_top{percent}" for percent in TOP]
    parts = [
        pairs[["method", name]].assign(percent=percent, kind=pairs["student_kind"]).rename(columns={name: "rate"})
        for percent, name in zip(TOP, names, strict=True)
    ]
    rates = pd.concat(parts).dropna(subset="rate")
    if rates.empty:
        return None
    caption = (
        "Of the teacher's complementary knowledge in the fewest classes that hold p% of it, the share of samples that "
        f"the student has right afterwards: mean over {len(pairs)} methods and pairs, band: 25% to 75% quantile."
    )
    return Drawing("top_class_rates", "Transfer rate of the top-p% classes", caption, transfers.top_class_rates(rates))


def student_size(outcome: str, title: str) -> Callable[[Collection], Drawing | None]:
    """Return the maker of the figure of an outcome against the student's size."""

    def make(collection: Collection) -> Drawing | None:
        pairs = collection.taught.dropna(subset=outcome)
        if pairs["student_params"].nunique() < 2:
            return None
        caption = f"{len(pairs)} points, a method and pair each (seeds averaged)."
        chart = transfers.student_properties(pairs, outcome, title)
        return Drawing(f"{outcome}_by_size", f"{title} against the size of the student", caption, chart)

    return make


def success_by_size(collection: Collection) -> Drawing | None:
    """Return the success of a student against its size."""
    facts = collection.taught.groupby("student")[["student_params", "student_kind"]].first()
    students = collection.students.join(facts, on="student").dropna(subset="student_params")
    if facts["student_params"].nunique() < 3 or students["teachers"].max() < 2:
        return None
    chart = transfers.student_properties(students, "success", "teachers that helped (%)")
    caption = f"{len(students)} points, a method and student each: the share of its teachers after which it is better."
    return Drawing("success_by_size", "Success against the size of the student", caption, chart)


def schedules(collection: Collection) -> Drawing | None:
    """Return what several teachers gave, by student and schedule, beside each of them alone."""
    several = collection.pairs[collection.pairs["teachers"] > 1]
    alone = collection.taught[(collection.taught["teachers"] == 1)
                              & collection.taught["method"].isin(several["base_method"])
                              & collection.taught["student"].isin(several["student"])]  # fmt: skip
    if not len(several):
        return None
    import pandas as pd

    chart = transfers.schedules(pd.concat([several, alone]))
    caption = (
        f"{len(several)} points of several teachers, {len(alone)} of a single one, seeds averaged; the epochs of each "
        "are in the table of pairs."
    )
    return Drawing("schedules", "Several teachers, and one", caption, chart)


def correlations(collection: Collection) -> Drawing | None:
    """Return the correlations of properties of the models with the outcome."""
    table = correlation_table(collection.taught).dropna(subset="r")
    if table.empty or table["n"].max() < CORRELATED:
        return None
    caption = f"Pearson's r over at most {table['n'].max()} pairs; fields without a value do not vary."
    return Drawing("correlations", "What goes with a gain", caption, transfers.correlations(table))


def stages(collection: Collection) -> Drawing | None:
    """Return gain and loss after each of several teachers in sequence."""
    import pandas as pd

    staged = collection.trainings.dropna(subset="stages")
    rows = [
        {"method": run["method"], "stage": stage["stage"], "outcome": outcome, "percent": stage[outcome]}
        for run in staged.to_dict("records")
        for stage in json.loads(run["stages"])
        for outcome in ("gain", "loss", "delta")
    ]
    if not rows:
        return None
    caption = f"Against the very first student; mean over {len(staged)} trainings."
    return Drawing("stages", "Several teachers in sequence", caption, transfers.stages(pd.DataFrame(rows)))


def delta_map(collection: Collection) -> Drawing | None:
    """Return the map of the delta; of many models, neighbours by accuracy share a cell."""
    pairs = collection.taught
    facts = statistics.model_facts(pairs)
    if len(pairs.drop_duplicates(["teacher", "student"])) < 2:
        return None
    models = [model["name"] for model in facts]
    caption = f"Mean over the seeds, {len(pairs)} cells; models by accuracy; empty: no run."
    side = isqrt(MANY // pairs["method"].nunique())
    if len(models) > side:
        share = -(-len(models) // side)
        block = {name: f"{number // share * share + 1} to {(number // share + 1) * share}" for number, name in
                 enumerate(models)}  # fmt: skip
        pairs = pairs.assign(teacher=pairs["teacher"].map(block), student=pairs["student"].map(block))
        pairs = pairs.groupby(["method", "teacher", "student"], as_index=False)["delta"].mean()
        models = list(dict.fromkeys(block.values()))
        caption = f"Mean over seeds and over {share} x {share} models of neighbouring rank by accuracy (1: lowest)."
    return Drawing("delta_map", "Delta of every teacher and student", caption, transfers.delta_map(pairs, models))


FIGURES: tuple[Callable[[Collection], Drawing | None], ...] = (
    success,
    delta_against_difference,
    by_student,
    delta_map,
    gain_and_loss,
    schedules,
    stages,
    top_class_rates,
    student_size("delta", "Transfer delta (points)"),
    success_by_size,
    student_size("transfer_rate", "Transfer rate (%)"),
    correlations,
)


def _missing(collection: Collection) -> str:
    absent = len(collection.missing)
    return f" {absent} of the grid's {absent + _present(collection)} runs are missing." if absent else ""


def _present(collection: Collection) -> int:
    return len(collection.trained.drop_duplicates(["method", "teacher", "student", "seed"]))
