"""What claims are judged by: means over pairs with intervals, of methods as they are."""

from math import nan, sqrt, tanh
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ktlight.publication.sweep.intervals import two_way_interval
from ktlight.publication.sweep.statistics import paired

if TYPE_CHECKING:
    from pandas import DataFrame, Series

HOLDS, FAILS, UNCLEAR, UNMEASURED = "holds", "does not hold", "not clear", "not measured"
Judged = tuple[str, str]
"""The verdict on a claim, and the figure it rests on."""


class Evidence(NamedTuple):
    """What a claim is judged by, measured on the same samples, where the same part of the students learned.

    Attributes:
        runs: `ktlight.publication.sweep.transfers.transfer_table`, of trained students.
        pairs: `ktlight.publication.sweep.statistics.pair_table` of them.
    """

    runs: "DataFrame"
    pairs: "DataFrame"


class Mean(NamedTuple):
    """A mean with its 95% interval, of ``number`` pairs or students."""

    value: float
    low: float
    high: float
    number: int

    def told(self, of: str = "pair") -> str:
        """Return it in words."""
        interval = f"{self.low:+.2f} to {self.high:+.2f}" if self.low == self.low else "no interval"
        return f"{self.value:+.2f} ({interval}; {counted(self.number, of)})"


def counted(number: int, what: str) -> str:
    """Return a number of things in words.

    >>> counted(1, "pair"), counted(2_000, "pair")
    ('1 pair', '2,000 pairs')
    """
    return f"{number:,} {what}{'s' * (number != 1)}"


class NotMeasuredError(Exception):
    """A claim lacks the runs it needs."""


def plain(evidence: Evidence, method: str) -> "DataFrame":
    """Return the pairs of a method as it is: without a guard, with its own router.

    If its options differ, those of the runs that typed none.
    """
    pairs = evidence.pairs
    own = pairs[(pairs["base_method"] == method) & (pairs["guard"] == "off") & pairs["router"].isna()
                & (pairs["teachers"] < 2)]  # fmt: skip
    names = set(own["method"])
    untyped = names & {method, f"{method} part=head"}
    name = untyped.pop() if untyped else names.pop() if len(names) == 1 else None
    if name is None:
        raise NotMeasuredError
    return own[own["method"] == name]


def models(evidence: Evidence) -> "DataFrame":
    """Return each pair of one teacher and a student once, whatever the method."""
    single = evidence.pairs[evidence.pairs["teachers"] == 1].drop_duplicates(["teacher", "student"])
    if not len(single):
        raise NotMeasuredError
    return single


def mean_over_pairs(pairs: "DataFrame", values: "Series") -> Mean:
    """Return the mean of a figure of some pairs; of those that have it."""
    known = values == values
    if not known.any():
        raise NotMeasuredError
    low, high = two_way_interval(values[known], pairs["teacher"][known], pairs["student"][known])
    return Mean(float(values[known].mean()), low, high, int(known.sum()))


def mean_over_students(values: "Series") -> Mean:
    """Return the mean of a figure by student."""
    low, high = two_way_interval(values, np.zeros(len(values)), values.index)
    return Mean(float(values.mean()), low, high, len(values))


def difference_of(mine: "DataFrame", other: "DataFrame", figure: str = "delta") -> Mean:
    """Return how much higher a figure of one method is than that of another, over the pairs that both have."""
    more = paired(mine, other, figure)
    if not len(more):
        raise NotMeasuredError
    table = more.reset_index()
    return mean_over_pairs(table, table[figure])


def above_zero(mean: Mean) -> str:
    """Return the verdict on the claim that a mean is above zero."""
    return HOLDS if mean.low > 0 else FAILS if mean.high < 0 else UNCLEAR


def all_above_zero(*means: Mean) -> str:
    """Return the verdict on the claim that several means are."""
    verdicts = {above_zero(mean) for mean in means}
    return FAILS if FAILS in verdicts else UNCLEAR if UNCLEAR in verdicts else HOLDS


def spearman_interval(correlation: float, count: int) -> tuple[float, float]:
    """Return the 95% interval of a rank correlation by Fisher's z, with the variance of Fieller et al. (1957)."""
    if count < 4:
        return nan, nan
    z = np.arctanh(np.clip(correlation, -1 + 1e-12, 1 - 1e-12))
    margin = 1.959964 * sqrt(1.06 / (count - 3))
    return tanh(z - margin), tanh(z + margin)
