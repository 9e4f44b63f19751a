"""What a sweep found, in sentences: what helped, what did not, and how sure that is."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ktlight.publication.content import pair_link
from ktlight.publication.sweep.collection import Collection
from ktlight.publication.sweep.evidence import FAILS, HOLDS, UNCLEAR, UNMEASURED, counted

if TYPE_CHECKING:
    from pandas import DataFrame

NO_INTERVAL = "no interval of the mean: it takes three teachers or students"
TOLD = 3
"""How many methods a sentence tells of, the best first."""
FEW = 5
"""Below so many pairs an interval says little, and so does the sentence with it."""


def findings(collection: Collection) -> list[str]:
    """Return the findings, those on different samples apart, and what was left out."""
    return [*_all_findings(collection), *_notes(collection)]


def _all_findings(collection: Collection) -> Iterator[str]:
    groups = list(dict.fromkeys(collection.trained["samples"]))
    if len(groups) > 1:
        yield f"These runs were measured on {len(groups)} different sets of samples; nothing is averaged over them."
    for samples in groups:
        yield from _of_samples(collection.parts[samples], samples)


def _of_samples(collection: Collection, samples: str) -> Iterator[str]:
    runs, success = collection.trained, collection.success
    teachers = runs["teacher"][runs["teachers"] > 0]
    yield (
        f"{counted(len(collection.trainings), 'transfer')} on {samples}: "
        f"{counted(runs['method'].nunique(), 'method')}, {counted(teachers.nunique(), 'teacher')}, "
        f"{counted(runs['student'].nunique(), 'student')}, {counted(runs['seed'].nunique(), 'seed')}."
    )
    if guarded := len(runs) - len(collection.trainings):
        yield f"{guarded} of them had a guard and are measured twice, without it and with it."
    if controls := int((collection.trainings["teachers"] == 0).sum()):
        yield f"{controls} of them had no teacher: controls, one a student, compared with each pair of that student."
    for verdict, rows in _sorted_by_verdict(success):
        yield f"{verdict}: {_first(list(map(_told, rows)))}."
    if comparison := _comparison(collection):
        yield comparison
    for part, claims in collection.claims.groupby("part", sort=False):
        yield _claims(claims, "Of the claims" if part == "all" else "With the head alone")
    if len(collection.taught):
        yield _best(collection.taught)
    if len(collection.missing):
        yield _incomplete(collection)


def _sorted_by_verdict(success: "DataFrame") -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield what helped, what harmed, and what is uncertain, each with its methods, the best first."""
    rows = sorted(success.to_dict("records"), key=lambda row: -row["mean_delta"])
    for verdict in ("Helped, on average", "Helped in every pair", "Made students worse, on average",
                    "Made students worse in every pair", "Not clear"):  # fmt: skip
        if of_it := [row for row in rows if _verdict(row) == verdict]:
            yield verdict, of_it


def _verdict(row: dict[str, Any]) -> str:
    if row["ci95_low"] != row["ci95_low"]:
        every = "Helped in every pair" if row["better"] == row["pairs"] else "Made students worse in every pair"
        return every if row["pairs"] in (row["better"], row["worse"]) else "Not clear"
    if row["ci95_low"] > 0:
        return "Helped, on average"
    return "Made students worse, on average" if row["ci95_high"] < 0 else "Not clear"


def _told(row: dict[str, Any]) -> str:
    known = row["ci95_low"] == row["ci95_low"]
    sure = f"95% interval {row['ci95_low']:+.2f} to {row['ci95_high']:+.2f}" if known else NO_INTERVAL
    return (
        f"{row['method']} {row['mean_delta']:+.2f} points ({sure}; {counted(row['pairs'], 'pair')}, of which "
        f"{row['better']} better and {row['worse']} worse beyond noise; success {row['median_success']:.0f}%)"
    )


def _comparison(collection: Collection) -> str:
    """Return how the best method compares with each other one over the pairs that both have."""
    success, differences = _of_one_teacher(collection), collection.differences
    if not len(success):
        return ""
    best = success.loc[success["mean_delta_common"].fillna(success["mean_delta"]).idxmax(), "method"]
    against = differences[differences["method"] == best].sort_values("difference").to_dict("records")
    parts = [f"{row['difference']:+.2f} over {row['other']} ({_range(row)})" for row in against]
    return f"{best} against the others, on the pairs that both have: {_first(parts)}." if parts else ""


def _claims(claims: "DataFrame", where: str) -> str:
    """Return which claims hold, in short; their figures are in the table."""
    told = []
    for verdict in (HOLDS, FAILS, UNCLEAR):
        if of_it := list(claims["claim"][claims["verdict"] == verdict]):
            told.append(f"{verdict}: {'; '.join(of_it)}")
    unmeasured = int((claims["verdict"] == UNMEASURED).sum())
    more = f" ({unmeasured} more are not measured by these runs)" if unmeasured else ""
    return f"{where}, {'. '.join(told)}{more}. Their figures are in the table of claims."


def _of_one_teacher(collection: Collection) -> "DataFrame":
    """Return the methods that share the grid of teachers and students; others are on students, or sets of teachers."""
    success, pairs = collection.success, collection.pairs
    return success[success["method"].isin(pairs["method"][pairs["teachers"] == 1])]


def _first(parts: Sequence[str]) -> str:
    more = f"; and {len(parts) - TOLD} more, in the tables" if len(parts) > TOLD else ""
    return "; ".join(parts[:TOLD]) + more


def _range(row: dict[str, Any]) -> str:
    if row["ci95_low"] != row["ci95_low"]:
        return counted(row["pairs"], "pair")
    few = ", few" if row["pairs"] < FEW else ""
    return f"{row['ci95_low']:+.2f} to {row['ci95_high']:+.2f}, {counted(row['pairs'], 'pair')}{few}"


def _best(pairs: "DataFrame") -> str:
    row = pairs.loc[pairs["delta"].idxmax()]
    link = pair_link(f"{row['teacher']} to {row['student']}", row["teacher"], row["student"])
    chosen = f"; the best of {len(pairs)}, which flatters it" if len(pairs) > 1 else ""
    return f"Largest gain: {link} with {row['method']}, {row['delta']:+.2f} points{chosen}."


def _incomplete(collection: Collection) -> str:
    missing, success = collection.missing, _of_one_teacher(collection)
    first = [" ".join(map(str, row)) for row in missing[["method", "teacher", "student", "seed"]].head(3).to_numpy()]
    more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
    common = int(success["pairs_common"].max()) if len(success) else 0
    told = (
        f"Incomplete: {len(missing)} of the runs of all methods, teachers, students and seeds are missing "
        f"({'; '.join(first)}{more}). Means are over the pairs that there are"
    )
    uneven = len(success) > 1 and (success["pairs"] > common).any()
    if not uneven:
        return f"{told}."
    if not common:
        return f"{told}; no pair has all methods, so their means do not compare."
    rows = success.sort_values("mean_delta_common", ascending=False).to_dict("records")
    means = _first([f"{row['method']} {row['mean_delta_common']:+.2f}" for row in rows])
    return f"{told}; over the {counted(common, 'pair')} that all methods have: {means}."


def _notes(collection: Collection) -> Iterator[str]:
    untrained = int((collection.runs["epochs"] == 0).sum())
    if untrained:
        yield f"{counted(untrained, 'run')} of methods without training are in the table of runs only."
    if collection.repeated:
        yield f"{counted(collection.repeated, 'run')} repeat another to the last bit and are counted once."
    for found in collection.discoveries:
        yield from found.facts["summary"]
    if collection.left_out:
        yield f"Could not be read, {len(collection.left_out)} in all: {_reasons(collection.left_out)}."


def _reasons(left_out: Sequence[Any]) -> str:
    first = left_out[0]
    more = f" and {len(left_out) - 1} more, under Provenance" if len(left_out) > 1 else ""
    return f"{first.folder} ({first.reason}){more}"
