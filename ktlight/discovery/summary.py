"""What a discovery found, in sentences."""

from collections.abc import Iterator

import torch
from torch import Tensor

from ktlight.discovery.compare import Figures
from ktlight.report.discovery_facts import Concentration, Facts, Similarity


def summary(facts: Facts, figures: Figures, models: int) -> list[str]:
    """Return the findings in sentences, those that matter most first.

    Args:
        facts: The findings.
        figures: Figures of all pairs.
        models: How many models count, the first ones; a random baseline comes after them.
    """
    return list(_labelled(facts, figures, models) if facts["labels"] else _unlabelled(facts, figures, models))


def _labelled(facts: Facts, figures: Figures, models: int) -> Iterator[str]:
    flips = _of_pairs(figures["positive_flips"], models)
    none = int((flips == 0).sum())
    yield (
        f"{_all_or(len(flips) - none, len(flips))} ordered pairs of {models} models have complementary knowledge: "
        f"images that the teacher is right on and the student is not ({flips.min():.2f} to {flips.max():.2f}% of "
        f"{facts['num_eval']}, median {_median(flips):.2f}%)."
    )
    weaker = flips[_of_pairs(figures["acc_teacher"] < figures["acc_student"], models)]
    if len(weaker):
        yield (
            f"A less accurate teacher still knows {_median(weaker):.2f}% (median of {_pairs(len(weaker))}; "
            f"{weaker.min():.2f} to {weaker.max():.2f}%)."
        )
    if facts["baseline"]:
        chance = figures["positive_flips"][models, :models]
        yield f"A randomly initialised teacher ({facts['baseline']}) knows {_median(chance):.2f}% (median)."
    if facts["concentration"]:
        yield _concentrated(facts["concentration"], len(facts["class_names"]))
    for name, similarity in list(facts["relatedness"].items())[:1]:
        yield from _related(name, similarity)
    yield from _covered(facts, models)
    yield from _expert(facts, models)
    yield from _left_out(facts)


def _unlabelled(facts: Facts, figures: Figures, models: int) -> Iterator[str]:
    agreement = _of_pairs(figures["agreement"], models)
    yield (
        "Without labels nothing is known of who is right: only agreement is measured. Two of the "
        f"{models} models predict the same class for {agreement.min():.2f} to {agreement.max():.2f}% of "
        f"{facts['num_eval']} images (median {_median(agreement):.2f}%)."
    )
    yield from _left_out(facts)


def _left_out(facts: Facts) -> Iterator[str]:
    measure = "error consistency" if facts["labels"] else "agreement"
    if alike := facts["duplicates"]:
        pairs = ", ".join(f"{row['first']} and {row['second']} ({row['consistency']:.2f})" for row in alike[:3])
        more = f" and {len(alike) - 3} more pairs" if len(alike) > 3 else ""
        yield f"Near duplicates ({measure} of at least {facts['duplicate_threshold']:g}): {pairs}{more}."
    if facts["failed"]:
        yield "Left out: " + "; ".join(f"{row['model']}: {row['reason']}" for row in facts["failed"])


def _concentrated(found: Concentration, classes: int) -> str:
    half, chance = found["num_top_classes"]["50"], found["chance_num_top_classes"]["50"]
    return (
        f"Half of a pair's positive flips lie in {half:g} of {classes} classes (median of {_pairs(found['pairs'])}); "
        f"{found['chance_flips']} images drawn at random would need {chance:.1f}. Entropy {found['flip_entropy']:.2f} "
        f"against {found['chance_entropy']:.2f} nats."
    )


def _related(name: str, similarity: Similarity) -> Iterator[str]:
    percent = next((percent for percent in ("20", "50") if percent in similarity["top"]), None)
    if percent is None:
        return
    top = similarity["top"][percent]
    low, high = ((end - similarity["mean"]) / similarity["deviation"] for end in top["band95"])
    verdict = "more" if top["standardised"] > high else "less" if top["standardised"] < low else "no more"
    yield (
        f"The classes that hold {percent}% of a pair's positive flips are {verdict} related than classes drawn at "
        f"random: by {name} {top['standardised']:+.2f} standard deviations from the mean of all pairs of classes (95% "
        f"of random draws: {low:+.2f} to {high:+.2f}; {_pairs(top['pairs'])})."
    )


def _covered(facts: Facts, models: int) -> Iterator[str]:
    chosen = facts["coverage"]
    if not chosen:
        return
    alone = f"{chosen[0]['covered']:.2f}%"
    if len(chosen) > 1:
        names, together = " + ".join(row["model"] for row in chosen), f"{chosen[-1]['covered']:.2f}%"
        known = f"{names}: any of them is right on {together} of the images, the best alone on {alone}"
    else:
        known = f"{chosen[0]['model']} alone is right on {alone} of the images"
    yield f"{known}, any of all {models} on {facts['coverage_of_all']:.2f}%."


def _expert(facts: Facts, models: int) -> Iterator[str]:
    known = [row for row in facts["expertise"] if row["count"]]
    if known:
        best = known[0]
        classes = ", ".join(f"{each['class']} ({each['excess']:+.1f})" for each in best["classes"][:3])
        yield (
            f"Better in some classes than the models are on average (false discovery rate 5%): {len(known)} of "
            f"{models} models; {best['model']} in {best['count']}, above all {classes}."
        )


def _of_pairs(matrix: Tensor, models: int) -> Tensor:
    """Return the figures of the ordered pairs of different models, without those of a baseline."""
    return matrix[:models, :models][~torch.eye(models, dtype=torch.bool)]


def _median(figures: Tensor) -> float:
    return float(figures.double().quantile(0.5))  # `median` takes the lower one of two


def _pairs(count: int) -> str:
    return f"{count} pair{'s' * (count != 1)}"


def _all_or(count: int, total: int) -> str:
    return f"All {total}" if count == total else f"{count} of {total}"
