from collections.abc import Callable, Iterable
from itertools import product
from math import atanh, sqrt, tanh
from statistics import fmean
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from ktlight.publication.sweep import own_claims, paper_claims
from ktlight.publication.sweep.claims import CLAIMS, claim_table
from ktlight.publication.sweep.evidence import FAILS, HOLDS, UNCLEAR, UNMEASURED, NotMeasuredError
from ktlight.publication.sweep.rows import Row
from tests.publication.sweep.made_rows import control, evidence, grids, row
from tests.publication.sweep.test_intervals import two_way_loop

PAIRS = list(product("abc", "xyz"))
RNG = np.random.default_rng(0)
NOISE = dict(zip(PAIRS, RNG.normal(0, 0.3, len(PAIRS)), strict=True))


def over_pairs(method: str, delta: float, **changes: Any) -> list[Row]:
    """Return a run a pair, around a delta."""
    return [row(method, *pair, delta + NOISE[pair], **changes) for pair in PAIRS]


def judged(claim: Callable[..., tuple[str, str]], rows: Iterable[Row]) -> tuple[str, str]:
    return claim(evidence(rows))


def told(values: Iterable[float], pairs: Iterable[tuple[str, str]] = PAIRS, of: str = "pairs") -> str:
    """Return a mean with its interval by a slow computation."""
    numbers, (teachers, students) = list(values), map(list, zip(*pairs, strict=True))
    if len(set(teachers)) == 1:
        margin = scipy.stats.t.ppf(0.975, len(numbers) - 1) * scipy.stats.sem(numbers)
    else:
        fewer = min(len(set(side)) for side in (teachers, students))
        margin = scipy.stats.t.ppf(0.975, fewer - 1) * sqrt(two_way_loop(numbers, teachers, students))
    mean = fmean(numbers)
    return f"{mean:+.2f} ({mean - margin:+.2f} to {mean + margin:+.2f}; {len(numbers)} {of})"


def test_every_teacher_knows_something() -> None:
    rows = over_pairs("kl", 1) + over_pairs("kl_dp", 1) + [control("self_distill", "x", 0)]
    verdict, figure = judged(paper_claims.knows_something, rows)
    assert verdict == HOLDS and figure == "at least 10.0% of the samples, 10.0% on average; 9 pairs"
    less = [*rows, row("kl", "d", "x", 1, complementary_knowledge=1.9)]
    assert judged(paper_claims.knows_something, less)[0] == FAILS


def test_knowledge_in_few_classes() -> None:
    sizes = {"top50_classes": 10.0, "top50_classes_by_chance": 14.0}
    verdict, figure = judged(paper_claims.in_few_classes, over_pairs("kl", 1, **sizes))
    assert verdict == HOLDS and figure.startswith(
        "half of it in 10.0 classes, by chance 14.0: +4.00 (+4.00 to +4.00; 9"
    )
    with pytest.raises(NotMeasuredError):
        judged(paper_claims.in_few_classes, over_pairs("kl", 1))


def test_plain_distillation_and_the_kind_of_teacher() -> None:
    weak = [row("kl", "a", student, -1, difference=-9.0) for student in "vwxyz"]
    strong = [row("kl", "b", student, 1 if student > "v" else -1, difference=9.0) for student in "vwxyz"]
    verdict, figure = judged(paper_claims.plain_needs_strong_teachers, weak + strong)
    assert verdict == HOLDS
    assert figure == "success: 0% of 5 runs with weaker, 80% of 5 runs with stronger teachers"
    lucky = [each | {"delta": 1.0} for each in weak]
    assert judged(paper_claims.plain_needs_strong_teachers, lucky + strong)[0] == FAILS
    assert judged(paper_claims.plain_needs_strong_teachers, weak[:4] + strong)[0] == UNCLEAR
    with pytest.raises(NotMeasuredError):
        judged(paper_claims.plain_needs_strong_teachers, strong)


def test_plain_distillation_overwrites() -> None:
    plain = [row("kl", *pair, -1, loss=7 + NOISE[pair]) for pair in PAIRS]
    verdict, figure = judged(paper_claims.plain_overwrites, plain + over_pairs("kl_dp", 1))
    assert verdict == HOLDS and figure.endswith(told(2 + NOISE[pair] for pair in PAIRS))
    assert judged(paper_claims.plain_overwrites, over_pairs("kl", 1, loss=3.0) + over_pairs("kl_dp", 1))[0] == FAILS


@settings(deadline=None, max_examples=20)
@given(grids())
def test_success_of_partitioning_is_over_runs(rows: list[Row]) -> None:
    verdict, figure = judged(paper_claims.nearly_every_transfer_gains, rows)
    helped = sum(each["delta"] > 0 for each in rows)
    assert verdict == (HOLDS if 10 * helped >= 9 * len(rows) else FAILS)
    plural = "s" * (len(rows) > 1)
    assert figure == f"success {100 * helped / len(rows):.1f}%: {helped} of {len(rows)} run{plural}"


def test_the_gain_comes_from_the_teacher() -> None:
    alone = {"x": 0.5, "y": 0.25, "z": -0.25}
    controls = [control("self_distill", student, delta) for student, delta in alone.items()]
    verdict, figure = judged(paper_claims.gains_from_the_teacher, over_pairs("kl_dp", 2) + controls)
    over = told(2 + NOISE[pair] - alone[pair[1]] for pair in PAIRS)
    assert verdict == HOLDS and figure == f"{told(2 + NOISE[pair] for pair in PAIRS)}; over self_distill {over}"
    better = [control("self_distill", student, 5.0) for student in alone]
    assert judged(paper_claims.gains_from_the_teacher, over_pairs("kl_dp", 2) + better)[0] == FAILS
    assert judged(paper_claims.gains_from_the_teacher, over_pairs("kl_dp", 0) + controls)[0] == UNCLEAR
    with pytest.raises(NotMeasuredError):
        judged(paper_claims.gains_from_the_teacher, over_pairs("kl_dp", 2))


def test_without_labels() -> None:
    with_labels = over_pairs("kl_dp", 2)
    near = [row("kl_dp_unsup", *pair, 1.9 + 2 * NOISE[pair]) for pair in PAIRS]
    verdict, figure = judged(paper_claims.works_without_labels, near + with_labels)
    assert verdict == HOLDS and told(NOISE[pair] - 0.1 for pair in PAIRS) in figure
    assert judged(paper_claims.works_without_labels, over_pairs("kl_dp_unsup", 1) + with_labels)[0] == FAILS
    wide = [row("kl_dp_unsup", *pair, 1.9 + 9 * NOISE[pair]) for pair in PAIRS]
    assert judged(paper_claims.works_without_labels, wide + with_labels)[0] == UNCLEAR


def test_weight_interpolation_and_success() -> None:
    rows = over_pairs("xe_kl_mcl", 5) + over_pairs("xe_kl", -5) + over_pairs("kl", -5)
    verdict, figure = judged(paper_claims.interpolation_raises_success, rows)
    all_of_it = "+100.00 (+100.00 to +100.00; 9 pairs)"
    assert verdict == HOLDS and figure == f"success 100%: in points {all_of_it} over xe_kl; {all_of_it} over kl"
    same = over_pairs("xe_kl_mcl", 5) + over_pairs("xe_kl", 5) + over_pairs("kl", -5)
    assert judged(paper_claims.interpolation_raises_success, same)[0] == UNCLEAR


def test_stronger_teachers_against_scipy() -> None:
    difference = {pair: 3.0 * number - 9 for number, pair in enumerate(PAIRS)}
    rows = [row("kl_dp", *pair, 0.5 * points + NOISE[pair], difference=points) for pair, points in difference.items()]
    verdict, figure = judged(paper_claims.stronger_teachers_give_more, rows)
    found = scipy.stats.linregress(list(difference.values()), [each["delta"] for each in rows])
    assert verdict == HOLDS and figure.startswith(f"r = {found.rvalue:+.2f}; points per point of difference")
    assert f" {found.slope:+.2f} (" in figure and "; 9 pairs)" in figure
    falling = [each | {"delta": -each["delta"]} for each in rows]
    assert judged(paper_claims.stronger_teachers_give_more, falling)[0] == FAILS
    with pytest.raises(NotMeasuredError):
        judged(paper_claims.stronger_teachers_give_more, over_pairs("kl_dp", 1))


def test_the_interval_of_a_slope_is_cluster_robust() -> None:
    """Against the sandwich of one regression, cluster by cluster."""
    difference = np.array([3.0 * number - 9 for number in range(len(PAIRS))])
    delta = 0.5 * difference + np.array([NOISE[pair] for pair in PAIRS])
    x = difference - difference.mean()
    slope = (x @ delta) / (x @ x)
    scores = x * (delta - delta.mean() - slope * x) / (x @ x) * len(x)
    teachers, students = map(list, zip(*PAIRS, strict=True))
    margin = scipy.stats.t.ppf(0.975, 2) * sqrt(two_way_loop(list(scores), teachers, students))
    rows = [row("kl_dp", *pair, d, difference=p) for pair, d, p in zip(PAIRS, delta, difference, strict=True)]
    assert (
        f"{slope:+.2f} ({slope - margin:+.2f} to {slope + margin:+.2f}; 9 pairs)"
        in judged(paper_claims.stronger_teachers_give_more, rows)[1]
    )


@settings(deadline=None, max_examples=20)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(-9, 9)), min_size=4, max_size=5))
def test_size_of_the_student_against_scipy(students: list[tuple[int, int]]) -> None:
    rows = [
        row("kl_dp", teacher, student, float(delta), student_params=size)
        for student, (size, delta) in zip("vwxyz", students, strict=False) for teacher in "ab"
    ]  # fmt: skip
    sizes, deltas = zip(*students, strict=True)
    if len(set(sizes)) == 1 or len(set(deltas)) == 1:
        with pytest.raises(NotMeasuredError):
            judged(paper_claims.larger_students_gain_more, rows)
        return
    verdict, figure = judged(paper_claims.larger_students_gain_more, rows)
    r = scipy.stats.spearmanr(sizes, deltas).statistic
    margin = scipy.stats.norm.ppf(0.975) * sqrt(1.06 / (len(students) - 3))
    if abs(r) < 0.999:
        low, high = (tanh(atanh(r) + sign * margin) for sign in (-1, 1))
        assert f"{r:+.2f} ({low:+.2f} to {high:+.2f}; {len(students)} students)" in figure
        assert verdict == (HOLDS if low > 0 else FAILS if high < 0 else UNCLEAR)
    helped = [delta > 0 for delta in deltas]
    with_success = scipy.stats.spearmanr(sizes, helped).statistic if 0 < sum(helped) < len(helped) else None
    expected = "none: it does not vary" if with_success is None else f"{with_success:+.2f}"
    assert figure.endswith(f"with success {expected}")


def test_top_classes_first() -> None:
    rates = {f"sample_rate_top{percent}": 60.0 - percent for percent in (2, 5, 20)} | {"sample_rate_top100": 30.0}
    verdict, figure = judged(paper_claims.top_classes_first, over_pairs("kl_dp", 1, **rates))
    assert verdict == HOLDS and "top 5% +25.00 (+25.00 to +25.00; 9 pairs)" in figure
    assert (
        judged(paper_claims.top_classes_first, over_pairs("kl_dp", 1, **rates | {"sample_rate_top20": 20.0}))[0]
        == FAILS
    )
    with pytest.raises(NotMeasuredError):
        judged(paper_claims.top_classes_first, over_pairs("kl_dp", 1))


def test_several_teachers_at_equal_budgets() -> None:
    offsets = dict(zip("vwxyz", (0.0, 0.1, -0.2, 0.05, 0.3), strict=True))
    rows = []
    for student, offset in offsets.items():
        rows += [
            row("kl_dp", teacher, student, delta + offset) for teacher, delta in (("a", 1.0), ("b", 2.0), ("c", 9.0))
        ]
        rows += [row("kl_dp", "a+b", student, delta, teachers=2, schedule=schedule)
                 for schedule, delta in (("sequential", 4.0 + 2 * offset), ("parallel", 3.0))]  # fmt: skip
    verdict, figure = judged(paper_claims.one_teacher_after_the_other, rows)
    students = [("none", student) for student in offsets]
    over_parallel = told((1 + 2 * offset for offset in offsets.values()), students, "students")
    over_single = told((2 + offset for offset in offsets.values()), students, "students")
    assert verdict == HOLDS and figure.endswith(
        f"; {over_parallel} over parallel; {over_single} over single (the best)"
    )
    longer = [each | {"epochs": 12} if each["teachers"] == 2 else each for each in rows]
    with pytest.raises(NotMeasuredError):
        judged(paper_claims.one_teacher_after_the_other, longer)
    worse = [each | {"delta": each["delta"] - 3} if each["schedule"] == "sequential" else each for each in rows]
    assert judged(paper_claims.one_teacher_after_the_other, worse)[0] == FAILS


@pytest.mark.parametrize(("worse", "verdict"), [(1, HOLDS), (2, FAILS)])
def test_the_guard_prevents_harm(worse: int, verdict: str) -> None:
    rows = []
    for seed in range(100):
        rows.append(row("kl", "a", "x", -5.0 if seed < 7 else 0.0, seed, weights_after=None, gain=float(seed)))
        rows.append(row("kl", "a", "x", -5.0 if seed < worse else 0.0, seed, guard="wise", guard_share=0.5))
    assert judged(own_claims.guard_prevents_harm, rows) == (
        verdict, f"{worse} of 100 trainings ({worse:.1f}%); without it 7",
    )  # fmt: skip


@pytest.mark.parametrize(("gain", "verdict"), [(1.4, FAILS), (1.6, HOLDS)])
def test_the_best_router(gain: float, verdict: str) -> None:
    base = over_pairs("kl_dp", 2)
    routed = [each | {"router": router, "delta": each["delta"] * times, "weights_after": f"{router}{number}"}
              for router, times in (("soft", gain), ("margin", 1.1)) for number, each in enumerate(base)]  # fmt: skip
    others = [each | {"router": "lucky", "teacher": "q", "delta": 50.0, "weights_after": "q"} for each in base[:1]]
    found, figure = judged(own_claims.better_router, base + routed + others)
    over = told((gain - 1) * each["delta"] for each in base)
    assert found == verdict and figure == f"kl_dp router=soft, the best of 2: {gain:.2f} times; {over} over kl_dp"


def test_a_method_that_raises_every_student() -> None:
    lifted = over_pairs("kl_dp", 2)
    uneven = [each | {"delta": -1.0 if each["student"] == "x" else 9.0} for each in over_pairs("kl", 2)]
    part = [each for each in over_pairs("xe_kl", 8) if each["student"] == "y"]
    verdict, figure = judged(own_claims.raises_every_student, lifted + uneven + part)
    lowest = min(fmean(2 + NOISE[pair] for pair in PAIRS if pair[1] == student) for student in "xyz")
    assert verdict == HOLDS and figure.startswith(
        f"kl_dp: lowest of 3 students {lowest:+.2f}, mean {told(2 + NOISE[pair] for pair in PAIRS)}"
    )
    assert judged(own_claims.raises_every_student, uneven)[0] == FAILS


def test_claims_are_given_for_each_set_of_samples_and_only_where_measured() -> None:
    rows = over_pairs("kl_dp", 2) + over_pairs("kl", 1, samples="cifar10")
    table = claim_table(*evidence(rows))
    assert len(table) == 2 * len(CLAIMS) and list(table["samples"].unique()) == ["digits", "cifar10"]
    of_digits = table[table["samples"] == "digits"].set_index("claim")
    assert of_digits.loc["data partitioning turns nearly every transfer into a gain", "verdict"] == HOLDS
    unmeasured = of_digits[of_digits["verdict"] == UNMEASURED]
    assert set(unmeasured["figure"]) == {""} and "it works as well without labels" in unmeasured.index
    assert claim_table(*evidence([])).empty and claim_table(*evidence(over_pairs("ensemble", 1, epochs=0))).empty


def test_the_head_alone_is_judged_by_itself() -> None:
    heads = over_pairs("kl_dp", -5, part="head") + over_pairs("kl_dp", 5, part="head", router="soft")
    controls = [control("self_distill", student, 0.0, part="head") for student in "xyz"]
    table = claim_table(*evidence(over_pairs("kl_dp", 5) + heads + controls))
    verdicts = table.set_index(["part", "claim"])["verdict"]
    gained = "data partitioning turns nearly every transfer into a gain"
    taught = "the gain is there on average, and comes from the teacher"
    assert (verdicts["all", gained], verdicts["head", gained]) == (HOLDS, FAILS)
    assert (verdicts["all", taught], verdicts["head", taught]) == (UNMEASURED, FAILS)
    assert verdicts["head", "beyond the paper: a method raises every student"] == HOLDS


def test_of_several_settings_the_plain_one_counts() -> None:
    tuned = over_pairs("kl_dp", -5, options='{"optim.lr": "0.1"}')
    others = over_pairs("kl_dp", -5, router="soft")
    assert judged(paper_claims.nearly_every_transfer_gains, over_pairs("kl_dp", 5) + tuned + others)[0] == HOLDS
    assert judged(paper_claims.nearly_every_transfer_gains, tuned + others)[0] == FAILS
    with pytest.raises(NotMeasuredError):
        judged(paper_claims.nearly_every_transfer_gains, tuned + over_pairs("kl_dp", 1, options='{"optim.lr": "0.2"}'))
