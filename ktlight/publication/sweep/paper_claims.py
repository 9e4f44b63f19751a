"""The claims of the paper, one function each: Roth et al. (ICLR 2024, arXiv 2310.17653)."""

from typing import TYPE_CHECKING

from ktlight.publication.sweep.correlations import pearson
from ktlight.publication.sweep.evidence import (
    FAILS,
    HOLDS,
    UNCLEAR,
    Evidence,
    Judged,
    Mean,
    NotMeasuredError,
    above_zero,
    all_above_zero,
    counted,
    difference_of,
    mean_over_pairs,
    mean_over_students,
    models,
    plain,
    spearman_interval,
)
from ktlight.publication.sweep.kinds import teacher_kind

if TYPE_CHECKING:
    from pandas import DataFrame

LEAST_KNOWLEDGE = 2.0
"""Percent of the samples that every teacher knows beyond the student, in the paper."""
NEARLY_EVERY = 90.0
AS_WELL = 0.5
"""Points by which a method may lie behind and still do as well."""
FEW = 5
"""Shares of fewer runs than this say nothing."""
TOP = (2, 5, 20)


def knows_something(evidence: Evidence) -> Judged:
    """Return whether every teacher is right on some samples that the student gets wrong."""
    known = models(evidence)["complementary_knowledge"]
    verdict = HOLDS if known.min() >= LEAST_KNOWLEDGE else FAILS
    return (
        verdict,
        f"at least {known.min():.1f}% of the samples, {known.mean():.1f}% on average; {counted(len(known), 'pair')}",
    )


def in_few_classes(evidence: Evidence) -> Judged:
    """Return whether half of what a teacher knows lies in fewer classes than as many of the student's errors would."""
    pairs = models(evidence).dropna(subset=["top50_classes", "top50_classes_by_chance"])
    fewer = mean_over_pairs(pairs, pairs["top50_classes_by_chance"] - pairs["top50_classes"])
    there, chance = pairs["top50_classes"].mean(), pairs["top50_classes_by_chance"].mean()
    return above_zero(fewer), f"half of it in {there:.1f} classes, by chance {chance:.1f}: {fewer.told()} fewer"


def plain_needs_strong_teachers(evidence: Evidence) -> Judged:
    """Return whether plain distillation mostly succeeds with clearly stronger teachers and fails with others."""
    runs = evidence.runs[evidence.runs["method"] == plain(evidence, "kl")["method"].iloc[0]]
    kinds = runs["difference"].map(teacher_kind)
    helped = (runs["delta"] > 0) * 100
    told = [f"{helped[kinds == kind].mean():.0f}% of {counted(int((kinds == kind).sum()), 'run')} with {kind}"
            for kind in ("weaker", "equal", "stronger") if (kinds == kind).any()]  # fmt: skip
    strong, others = helped[kinds == "stronger"], helped[kinds != "stronger"]
    if not len(strong) or not len(others):
        raise NotMeasuredError
    verdict = HOLDS if strong.mean() > 50 > others.mean() else FAILS
    return UNCLEAR if min(len(strong), len(others)) < FEW else verdict, f"success: {', '.join(told)} teachers"


def plain_overwrites(evidence: Evidence) -> Judged:
    """Return whether plain distillation loses more of what the student knew than with data partitioning."""
    copied, partitioned = plain(evidence, "kl"), plain(evidence, "kl_dp")
    more = difference_of(copied, partitioned, "loss")
    return above_zero(more), f"loss {copied['loss'].mean():.2f}% and {partitioned['loss'].mean():.2f}%: {more.told()}"


def nearly_every_transfer_gains(evidence: Evidence) -> Judged:
    """Return whether nearly every run with data partitioning ends above zero."""
    method = plain(evidence, "kl_dp")["method"].iloc[0]
    helped = evidence.runs["delta"][evidence.runs["method"] == method] > 0
    share = 100 * helped.mean()
    return (
        HOLDS if share >= NEARLY_EVERY else FAILS,
        f"success {share:.1f}%: {helped.sum()} of {counted(len(helped), 'run')}",
    )


def gains_from_the_teacher(evidence: Evidence) -> Judged:
    """Return whether data partitioning gains on average, and more than the same training without a teacher."""
    partitioned = plain(evidence, "kl_dp")
    own = mean_over_pairs(partitioned, partitioned["delta"])
    beyond = difference_of(partitioned, plain(evidence, "self_distill"))
    return all_above_zero(own, beyond), f"{own.told()}; over self_distill {beyond.told()}"


def works_without_labels(evidence: Evidence) -> Judged:
    """Return whether the router without labels gains as much, to half a point."""
    more = difference_of(plain(evidence, "kl_dp_unsup"), plain(evidence, "kl_dp"))
    verdict = FAILS if more.high < 0 else HOLDS if more.low > -AS_WELL else UNCLEAR
    return verdict, f"without minus with labels: {more.told()}; as well: not {AS_WELL:g} points behind"


def interpolation_raises_success(evidence: Evidence) -> Judged:
    """Return whether slow weights succeed more often than the same loss without them, and than plain distillation."""
    slow = plain(evidence, "xe_kl_mcl")
    over = {name: difference_of(slow, plain(evidence, name), "success") for name in ("xe_kl", "kl")}
    told = "; ".join(f"{more.told()} over {name}" for name, more in over.items())
    return all_above_zero(*over.values()), f"success {slow['success'].mean():.0f}%: in points {told}"


def stronger_teachers_give_more(evidence: Evidence) -> Judged:
    """Return whether the delta of data partitioning rises with the performance difference."""
    pairs = plain(evidence, "kl_dp").dropna(subset="difference")
    difference, delta = pairs["difference"].to_numpy(float), pairs["delta"].to_numpy(float)
    r = pearson(difference, delta)
    if r != r:
        raise NotMeasuredError
    apart = difference - difference.mean()
    slope = (apart @ delta) / (apart @ apart)
    influence = apart * (delta - delta.mean() - slope * apart) / (apart**2).mean()
    rise = mean_over_pairs(pairs, slope + influence)  # the cluster-robust variance of a slope is that of its influences
    return above_zero(rise), f"r = {r:+.2f}; points per point of difference {rise.told()}"


def larger_students_gain_more(evidence: Evidence) -> Judged:
    """Return whether the mean delta of data partitioning rises with the size of the student."""
    students = plain(evidence, "kl_dp").groupby("student")[["student_params", "delta", "success"]].mean().rank()
    count = len(students)
    of_delta, of_success = (pearson(students["student_params"].to_numpy(), students[name].to_numpy())
                            for name in ("delta", "success"))  # fmt: skip
    if of_delta != of_delta:
        raise NotMeasuredError
    low, high = spearman_interval(of_delta, count)
    told = f"{of_success:+.2f}" if of_success == of_success else "none: it does not vary"
    mean = Mean(of_delta, low, high, count)
    return above_zero(mean), f"Spearman's rank correlation {mean.told('student')}; with success {told}"


def top_classes_first(evidence: Evidence) -> Judged:
    """Return whether more of the knowledge in a teacher's top classes arrives than of all of it."""
    pairs = plain(evidence, "kl_dp")
    over = [mean_over_pairs(pairs, pairs[f"sample_rate_top{percent}"] - pairs["sample_rate_top100"]) for percent in TOP]
    rate = pairs["sample_rate_top100"].mean()
    told = ", ".join(f"top {percent}% {more.told()}" for percent, more in zip(TOP, over, strict=True))
    return all_above_zero(*over), f"points beyond the {rate:.1f}% of all classes: {told}"


def one_teacher_after_the_other(evidence: Evidence) -> Judged:
    """Return whether several teachers in sequence give more than in parallel and than the best of them alone.

    At the same number of epochs; the best alone is chosen afterwards, which flatters it.
    """
    pairs = evidence.pairs
    own = pairs[(pairs["base_method"] == "kl_dp") & (pairs["guard"] == "off") & pairs["router"].isna()]
    keys = ["teacher", "student", "epochs"]
    both = [own[(own["teachers"] > 1) & (own["schedule"] == name)].groupby(keys)["delta"].mean()
            for name in ("sequential", "parallel")]  # fmt: skip
    single = plain(evidence, "kl_dp")
    best = [_best_alone(single, *key) for key in both[0].index]
    table = both[0].to_frame("sequential").assign(parallel=both[1], single=best).dropna().reset_index()
    by_student = table.groupby("student")[["sequential", "parallel", "single"]].mean()
    if not len(by_student):
        raise NotMeasuredError
    over = {name: mean_over_students(by_student["sequential"] - by_student[name]) for name in ("parallel", "single")}
    told = "; ".join(f"{more.told('student')} over {name}" for name, more in over.items())
    return all_above_zero(*over.values()), f"in sequence {by_student['sequential'].mean():+.2f}; {told} (the best)"


def _best_alone(single: "DataFrame", teachers: str, student: str, epochs: int) -> float:
    mine = single[(single["student"] == student) & (single["epochs"] == epochs)]
    return float(mine["delta"][mine["teacher"].isin(teachers.split("+"))].max())
