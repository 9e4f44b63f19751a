"""The page of a sweep or of any collection of runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ktlight.publication.content import Figure, Page, PairMap
from ktlight.publication.sweep.collection import Collection
from ktlight.publication.sweep.findings import findings
from ktlight.publication.sweep.page_tables import page_tables
from ktlight.publication.sweep.statistics import model_facts

if TYPE_CHECKING:
    from pandas import DataFrame

MOST_REMARKS = 5_000
"""More pairs than this have no remarks, so that the page stays small."""
MOST_LISTED = 200
STATISTICS = """\
success: per student the share of teachers with a delta above 0; its median over the n students of a method.
delta: points of accuracy after minus before. The runs of a pair (teacher and student) that differ in the seed are
averaged first; means are over pairs.
interval of a run: 95%, over the test samples (Bonett and Price, 2012). Of a pair: of its run; of two, the range that
holds both deltas and the mean of their intervals; of three or more, over the seeds (Student's t). Of a method: over
pairs, which share teachers and students: two-way cluster-robust variance (Cameron, Gelbach and Miller, 2011), Student's
t; none where there are two teachers or two students.
better, worse: pairs, or runs, whose own interval lies above or below 0.
kind of teacher: weaker, more than 3 points below the student before; equal, within 3 points; stronger.
claim: of a mean, holds where its interval lies on the claimed side of zero, does not hold where it lies on the other.
transfer rate, samples: of the teacher's complementary knowledge, the share that the student now has right.
transfer rate, classes: all that the student gained in the classes of that knowledge, over that knowledge."""


def sweep_page(
    collection: Collection, figures: Sequence[Figure], folder: Path, title: str, success: "DataFrame"
) -> Page:
    """Return the page of finished runs.

    Args:
        collection: The runs.
        figures: Their figures.
        folder: Where the page will be, for the links to the runs' folders.
        title: Its title.
        success: The rows of the table of methods; with those of the paper, if asked for.
    """
    tables = page_tables(collection, folder, success)
    return Page(title, findings(collection), pair_map(collection), tables, figures, _provenance(collection))


def pair_map(collection: Collection) -> PairMap | None:
    """Return the map of the delta, a measure for each method; None without two models."""
    pairs = collection.taught
    facts = model_facts(pairs) if len(pairs) else []
    if len(facts) < 2:
        return None
    number = {model["name"]: index for index, model in enumerate(facts)}
    several = pairs["samples"].nunique() > 1
    measures = {}
    for (samples, method), group in pairs.groupby(["samples", "method"], sort=False):
        delta_TS = np.full((len(facts), len(facts)), np.nan, np.float32)
        delta_TS[group["teacher"].map(number), group["student"].map(number)] = group["delta"]
        measures[f"Delta, {method}{f' on {samples}' * several}"] = delta_TS
    remarks: dict[tuple[int, int], list[str]] = {}
    for row in pairs.to_dict("records") if len(pairs) <= MOST_REMARKS else ():
        remarks.setdefault((number[row["teacher"]], number[row["student"]]), []).append(_remark(row, several))
    num_samples = collection.trained["num_eval"].max()
    return PairMap(facts, measures, remarks=remarks, num_samples=int(num_samples))


def _remark(row: dict[str, Any], several: bool) -> str:
    known = row["low"] == row["low"]
    interval = f" ({row['low']:+.2f} to {row['high']:+.2f})" if known else ""
    seeds = f", {row['runs']} runs from {row['lowest']:+.2f} to {row['highest']:+.2f}" if row["runs"] > 1 else ""
    rate = "" if row["transfer_rate"] != row["transfer_rate"] else f", transfer rate {row['transfer_rate']:.0f}%"
    on = f" on {row['samples']}" if several else ""
    return (
        f"{row['method']}{on}: {row['delta']:+.2f} points{interval}{seeds}; gain {row['gain']:.2f}, "
        f"loss {row['loss']:.2f}{rate}."
    )


def _provenance(collection: Collection) -> dict[str, str]:
    texts = {"Statistics": STATISTICS}
    if len(collection.runs):
        counts = collection.runs["samples"].value_counts(sort=False)
        texts["Data"] = "\n".join(f"{count} measurements: {samples}" for samples, count in counts.items())
        texts["Config of the first run"] = _config(collection)
    if collection.tables:
        texts["Tables of runs"] = "\n".join(map(str, collection.tables))
    if collection.versions:
        texts["Versions"] = "\n".join(collection.versions)
    if collection.others:
        texts["Other runs"] = "\n".join(f"{count} of task={task}" for task, count in collection.others.items())
    if len(collection.missing):
        names = ["samples", "method", "teacher", "student", "seed"]
        texts["Missing runs"] = _listed(" ".join(map(str, row)) for row in collection.missing[names].to_numpy())
    if collection.left_out:
        texts["Left out"] = _listed(f"{each.folder}: {each.reason}" for each in collection.left_out)
    return texts


def _config(collection: Collection) -> str:
    run = Path(collection.runs["folder"].iloc[0])
    try:
        return (run / "config.yaml").read_text()
    except (OSError, ValueError):
        return "It is not here: what was typed for each run stands in tables/runs.csv, under options."


def _listed(lines: Any) -> str:
    every = list(lines)
    more = [f"... and {len(every) - MOST_LISTED} more, in tables/"] if len(every) > MOST_LISTED else []
    return "\n".join([*every[:MOST_LISTED], *more])
