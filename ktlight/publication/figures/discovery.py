"""The figures of a discovery: what teachers know that students do not (Roth et al., ICLR 2024, figures 1 to 3)."""

from math import log
from typing import Any

import altair as alt

from ktlight.publication.draw import COLOURS
from ktlight.publication.figures.common import HEIGHT, WIDTH, category, chart, rule, scatter, unique

FLIPS = "complementary knowledge (% of the samples)"


def complementary_knowledge(pairs: Any) -> Any:
    """Return positive flips against the difference of accuracies, with the least possible: max(0, difference).

    Args:
        pairs: Columns ``difference`` (accuracy of the teacher minus that of the student) and ``positive_flips``.
    """
    x = alt.X("difference:Q", title="accuracy of the teacher minus that of the student (points)")
    y = alt.Y("positive_flips:Q", title=FLIPS)
    differences = unique(pairs, "difference")
    ends = [min([*differences, 0]), 0, max([*differences, 0])]
    least = chart({"difference": ends, "least": [max(0, end) for end in ends]}, "difference", "least")
    line = least.mark_line(strokeDash=[4, 3], color="#8c8c8c").encode(x="difference:Q", y="least:Q")
    points = scatter(pairs, x, y, ["difference", "positive_flips"], alt.value(COLOURS[0]))
    return (line + points).properties(width=WIDTH, height=HEIGHT)


def entropy(pairs: Any, num_classes: int, baseline: Any = None) -> Any:
    """Return the entropy of the flips' classes against their share, with the line of a uniform distribution.

    Args:
        pairs: Columns ``positive_flips`` in percent and ``flip_entropy`` in nats.
        num_classes: C; the line is at ln C.
        baseline: The same columns of pairs with a randomly initialised teacher.
    """
    x = alt.X("positive_flips:Q", title=FLIPS)
    y = alt.Y("flip_entropy:Q", title="entropy of its classes (nats)", scale=alt.Scale(zero=False))
    names = ["positive_flips", "flip_entropy"]
    layers = [rule(y=log(num_classes)), scatter(pairs, x, y, names, alt.value(COLOURS[0]))]
    if baseline is not None:
        layers.append(scatter(baseline, x, y, names, alt.value(COLOURS[1])))
    return alt.layer(*layers).properties(width=WIDTH, height=HEIGHT)


def relatedness(rows: Any) -> Any:
    """Return how much more related the top-p% classes are than any two classes, against p, with the random band.

    Args:
        rows: Columns ``percent``, ``similarity``, ``standardised`` (in standard deviations above the mean of all pairs
            of classes), and ``low`` and ``high``, where 95% are if the classes are permuted at random.
    """
    names = ("percent", "similarity", "standardised", "low", "high")
    x = alt.X("percent:O", title="top-p% classes of the complementary knowledge", axis=alt.Axis(labelAngle=0))
    similarities = unique(rows, "similarity")
    base = chart(rows, *names).encode(
        x=x,
        xOffset=alt.XOffset("similarity:N", sort=similarities),
        color=category("similarity", "similarity of classes by", similarities),
    )
    band = base.mark_rule(strokeWidth=14, opacity=0.25).encode(y=alt.Y("low:Q"), y2="high:Q")
    title = "above any two classes (standard deviations)"
    points = base.mark_circle(size=70).encode(y=alt.Y("standardised:Q", title=title))
    return (rule(y=0) + band + points).properties(width=WIDTH, height=HEIGHT)


def class_histograms(classes: Any) -> Any:
    """Return sorted positive flips per class, one line a pair: a much stronger, an equal and a much weaker teacher.

    Args:
        classes: Columns ``pair``, ``rank`` (from 1, most flips first) and ``positive_flips``.
    """
    line = chart(classes, "pair", "rank", "positive_flips").mark_line(interpolate="step-after")
    return line.encode(
        x=alt.X("rank:Q", title="class, most positive flips first", axis=alt.Axis(tickMinStep=1, format="d")),
        y=alt.Y("positive_flips:Q", title="positive flips"),
        color=category("pair", "", unique(classes, "pair")),
    ).properties(width=WIDTH, height=HEIGHT)
