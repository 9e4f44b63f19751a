"""The claims that this project makes beyond the paper, one function each."""

from math import nan

from ktlight.publication.sweep.evidence import (
    FAILS,
    HOLDS,
    UNCLEAR,
    Evidence,
    Judged,
    NotMeasuredError,
    above_zero,
    counted,
    difference_of,
    mean_over_pairs,
    plain,
)
from ktlight.publication.sweep.kinds import guard_table
from ktlight.publication.sweep.statistics import paired

RARELY = 1.0
TIMES = 1.5


def guard_prevents_harm(evidence: Evidence) -> Judged:
    """Return whether with the guard hardly any run ends worse than before by more than noise."""
    guarded = guard_table(evidence.runs)
    guarded = guarded[guarded["guard"] == "wise"]
    if not len(guarded):
        raise NotMeasuredError
    trainings, worse, before = (int(guarded[name].sum()) for name in ("trainings", "worse_guarded", "worse"))
    share = 100 * worse / trainings
    return (
        HOLDS if share <= RARELY else FAILS,
        f"{worse} of {counted(trainings, 'training')} ({share:.1f}%); without it {before}",
    )


def better_router(evidence: Evidence) -> Judged:
    """Return whether the best router gains half as much again as the most confident source."""
    pairs, partitioned = evidence.pairs, plain(evidence, "kl_dp")
    routed = pairs[(pairs["base_method"] == "kl_dp") & pairs["router"].notna() & (pairs["guard"] == "off")
                   & (pairs["teachers"] == 1)]  # fmt: skip
    over = {method: difference_of(mine, partitioned) for method, mine in routed.groupby("method")
            if len(paired(mine, partitioned))}  # fmt: skip
    if not over:
        raise NotMeasuredError
    best, more = max(over.items(), key=lambda each: each[1].value)
    both = paired(routed[routed["method"] == best], partitioned).index
    base = partitioned.set_index(["teacher", "student"])["delta"][both].mean()
    ratio = (base + more.value) / base if base > 0 else nan
    verdict = UNCLEAR if ratio != ratio else FAILS if ratio < TIMES else above_zero(more)
    return verdict, f"{best}, the best of {len(over)}: {ratio:.2f} times; {more.told()} over kl_dp"


def raises_every_student(evidence: Evidence) -> Judged:
    """Return whether some method raises every student on average over its teachers, and all of them beyond noise."""
    pairs = evidence.pairs[evidence.pairs["teachers"] > 0]
    means = pairs.groupby(["method", "student"], sort=False)["delta"].mean().unstack("student").dropna()
    if not len(means):
        raise NotMeasuredError
    lowest = means.min(axis=1)
    best = lowest.idxmax()
    mine = pairs[pairs["method"] == best]
    mean = mean_over_pairs(mine, mine["delta"])
    verdict = FAILS if lowest[best] <= 0 else above_zero(mean)
    return verdict, f"{best}: lowest of {counted(means.shape[1], 'student')} {lowest[best]:+.2f}, mean {mean.told()}"
