"""The figures of a discovery, drawn from its files."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ktlight.publication.figures import discovery as figures
from ktlight.publication.sweep.drawings import Drawing
from ktlight.report.discovery import Discovery

if TYPE_CHECKING:
    from pandas import DataFrame


def discovery_drawings(found: Discovery) -> Iterator[Drawing]:
    """Yield the figures of a discovery; without labels there are none."""
    facts = found.facts
    if not facts["labels"]:
        return
    columns = ["teacher", "student", "acc_teacher", "acc_student", "positive_flips", "flip_entropy"]
    table = found.table("pairs", columns).to_pandas()
    table["difference"] = table["acc_teacher"] - table["acc_student"]
    chance = (table["teacher"] == facts["baseline"]) | (table["student"] == facts["baseline"])
    pairs, baseline = table[~chance], table[table["teacher"] == facts["baseline"]]
    if pairs.empty:
        return
    on = f"On {facts['num_eval']} samples of {facts['data']}."
    yield Drawing(
        "complementary_knowledge", "Complementary knowledge",
        f"{len(pairs)} ordered pairs: the share of samples that only the teacher is right on. Dashed: the least "
        f"possible for the difference. {on}", figures.complementary_knowledge(pairs),
    )  # fmt: skip
    yield from _entropy(found, pairs, baseline, on)
    if rows := _relatedness(found):
        yield Drawing(
            "relatedness", "Relatedness of the top-p% classes",
            "Mean similarity among the fewest classes that hold p% of a pair's complementary knowledge, over the pairs "
            f"with two such classes. Band: 95% of random permutations of the classes. {on}", figures.relatedness(rows),
        )  # fmt: skip
    yield Drawing(
        "class_histograms", "Complementary knowledge by class",
        f"Of a much stronger, an equally accurate and a much weaker teacher. {on}",
        figures.class_histograms(_histograms(found, pairs)),
    )  # fmt: skip


def _entropy(found: Discovery, pairs: "DataFrame", baseline: "DataFrame", on: str) -> Iterator[Drawing]:
    known = pairs.dropna(subset="flip_entropy")
    if known.empty:
        return
    chance = baseline.dropna(subset="flip_entropy")
    caption = f"{len(known)} ordered pairs. Dashed: all classes alike (ln {len(found.facts['class_names'])})."
    caption += " Orange: a randomly initialised teacher." if len(chance) else ""
    chart = figures.entropy(known, len(found.facts["class_names"]), chance if len(chance) else None)
    yield Drawing("entropy", "How evenly it lies over the classes", f"{caption} {on}", chart)


def _relatedness(found: Discovery) -> dict[str, list[Any]]:
    rows = [
        (
            int(percent),
            name,
            top["standardised"],
            *((end - of_all["mean"]) / of_all["deviation"] for end in top["band95"]),
        )
        for name, of_all in found.facts["relatedness"].items()
        if of_all["deviation"] > 0
        for percent, top in of_all["top"].items()
    ]
    names = ("percent", "similarity", "standardised", "low", "high")
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)) if rows else {}


def _histograms(found: Discovery, pairs: "DataFrame") -> dict[str, list[Any]]:
    """Return sorted flips per class of the pairs with the largest, the smallest absolute and the lowest difference."""
    difference = pairs["difference"]
    chosen = dict.fromkeys((difference.idxmax(), difference.abs().idxmin(), difference.idxmin()))
    columns: dict[str, list[Any]] = {"pair": [], "rank": [], "positive_flips": []}
    for row in chosen:
        pair = pairs.loc[row]
        flips = found.table("classes", ["positive_flips"], teacher=pair["teacher"], student=pair["student"])
        counts = sorted(flips["positive_flips"].to_pylist(), reverse=True)
        counts += [0] * (len(found.facts["class_names"]) - len(counts))
        columns["pair"] += [f"{pair['teacher']} to {pair['student']} ({pair['difference']:+.1f} points)"] * len(counts)
        columns["rank"] += range(1, len(counts) + 1)
        columns["positive_flips"] += counts
    return columns
