"""What a sweep found, in sentences: what helped, what did not, and how sure that is."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ktlight.publication.content import pair_link
from ktlight.publication.sweep.collection import Collection

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
        yield from _of_samples(collection.of(samples), samples)


def _of_samples(collection: Collection, samples: str) -> Iterator[str]:
    runs, success = collection.trained, collection.success
    yield (
        f"{_count(len(runs), 'transfer')} on {samples}: {_count(runs['method'].nunique(), 'method')}, "
        f"{_count(runs['teacher'].nunique(), 'teacher')}, {_count(runs['student'].nunique(), 'student')}, "
        f"{_count(runs['seed'].nunique(), 'seed')}."
    )
    for verdict, rows in _sorted_by_verdict(success):
        yield f"{verdict}: {_first(list(map(_told, rows)))}."
    if comparison := _comparison(collection):
        yield comparison
    yield _best(collection.pairs)
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
        f"{row['method']} {row['mean_delta']:+.2f} points ({sure}; {_count(row['pairs'], 'pair')}, of which "
        f"{row['better']} better and {row['worse']} worse beyond noise; success {row['median_success']:.0f}%)"
    )


def _comparison(collection: Collection) -> str:
    """Return how the best method compares with each other one over the pairs that both have."""
    success, differences = collection.success, collection.differences
    if len(success) < 2:
        return ""
    best = success.loc[success["mean_delta_common"].fillna(success["mean_delta"]).idxmax(), "method"]
    against = differences[differences["method"] == best].sort_values("difference").to_dict("records")
    parts = [f"{row['difference']:+.2f} over {row['other']} ({_range(row)})" for row in against]
    return f"{best} against the others, on the pairs that both have: {_first(parts)}." if parts else ""


def _first(parts: Sequence[str]) -> str:
    more = f"; and {len(parts) - TOLD} more, in the tables" if len(parts) > TOLD else ""
    return "; ".join(parts[:TOLD]) + more


def _range(row: dict[str, Any]) -> str:
    if row["ci95_low"] != row["ci95_low"]:
        return _count(row["pairs"], "pair")
    few = ", few" if row["pairs"] < FEW else ""
    return f"{row['ci95_low']:+.2f} to {row['ci95_high']:+.2f}, {_count(row['pairs'], 'pair')}{few}"


def _best(pairs: "DataFrame") -> str:
    row = pairs.loc[pairs["delta"].idxmax()]
    link = pair_link(f"{row['teacher']} to {row['student']}", row["teacher"], row["student"])
    chosen = f"; the best of {len(pairs)}, which flatters it" if len(pairs) > 1 else ""
    return f"Largest gain: {link} with {row['method']}, {row['delta']:+.2f} points{chosen}."


def _incomplete(collection: Collection) -> str:
    missing, success = collection.missing, collection.success
    first = [" ".join(map(str, row)) for row in missing[["method", "teacher", "student", "seed"]].head(3).to_numpy()]
    more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
    common = int(success["pairs_common"].iloc[0])
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
    return f"{told}; over the {_count(common, 'pair')} that all methods have: {means}."


def _notes(collection: Collection) -> Iterator[str]:
    untrained = len(collection.runs) - len(collection.trained)
    if untrained:
        yield f"{_count(untrained, 'run')} of methods without training are in the table of runs only."
    if collection.repeated:
        yield f"{_count(collection.repeated, 'run')} repeat another to the last bit and are counted once."
    for found in collection.discoveries:
        yield from found.facts["summary"]
    if collection.left_out:
        yield f"{_count(len(collection.left_out), 'folder')} could not be read: {_reasons(collection.left_out)}."


def _reasons(left_out: Sequence[Any]) -> str:
    first = left_out[0]
    more = f" and {len(left_out) - 1} more, under Provenance" if len(left_out) > 1 else ""
    return f"{first.folder} ({first.reason}){more}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"
