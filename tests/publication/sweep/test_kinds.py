from statistics import fmean

import pytest
from hypothesis import given, settings

from ktlight.publication.sweep.intervals import two_way_interval
from ktlight.publication.sweep.kinds import guard_table, kind_table
from ktlight.publication.sweep.rows import Row
from tests.publication.sweep.made_rows import control, evidence, grids, row

KINDS = {
    "weaker": lambda points: points < -3,
    "equal": lambda points: -3 <= points <= 3,
    "stronger": lambda points: points > 3,
    "all": lambda points: True,
}


@settings(deadline=None, max_examples=25)
@given(grids())
def test_kinds_against_a_loop(rows: list[Row]) -> None:
    table = kind_table(*evidence(rows)).set_index("teacher")
    for kind, belongs in KINDS.items():
        mine = [each for each in rows if belongs(each["difference"])]
        assert (kind in table.index) == bool(mine)
        if not mine:
            continue
        found = table.loc[kind]
        assert found["runs"] == len(mine)
        assert found["success"] == pytest.approx(100 * sum(each["delta"] > 0 for each in mine) / len(mine))
        assert found["better"] == sum(each["low"] > 0 for each in mine)
        assert found["worse"] == sum(each["high"] < 0 for each in mine)
        by_pair: dict[tuple[str, str], list[Row]] = {}
        for each in mine:
            by_pair.setdefault((each["teacher"], each["student"]), []).append(each)
        for column, field in (("mean_delta", "delta"), ("mean_gain", "gain"), ("mean_loss", "loss")):
            means = [fmean(each[field] for each in of_pair) for of_pair in by_pair.values()]
            assert found[column] == pytest.approx(fmean(means)) and found["pairs"] == len(means)
            if field == "delta":
                expected = two_way_interval(means, *zip(*by_pair, strict=True))
                assert (found["ci95_low"], found["ci95_high"]) == pytest.approx(expected, nan_ok=True)


def test_a_control_has_no_kind_of_teacher() -> None:
    table = kind_table(*evidence([control("self_distill", "x", 1.0), control("self_distill", "y", -2.0)]))
    assert list(table["teacher"]) == ["all"] and table["pairs"][0] == 2 and table["success"][0] == 50


def test_a_guard_is_compared_over_the_same_trainings() -> None:
    """One training has no guard, another no measurement without it: neither can be compared."""
    wise = {"guard": "wise", "weights_after": "guarded"}
    rows = [
        row("kl", "a", "x", -5.0, weights_after=None), row("kl", "a", "x", 0.0, guard_share=0.0, **wise),
        row("kl", "b", "x", 2.0, weights_after=None), row("kl", "b", "x", 3.0, guard_share=0.6, **wise),
        row("kl", "b", "x", -1.5, 1, weights_after=None), row("kl", "b", "x", -1.25, 1, guard_share=0.9, **wise),
        row("kl", "c", "x", 7.0), row("kl", "d", "x", 7.0, guard_share=1.0, **wise),
        row("kl_dp", "b", "x", 2.0, weights_after=None),
        row("kl_dp", "b", "x", 3.0, guard_share=0.5, guard="rollback", weights_after="back"),
    ]  # fmt: skip
    kl, kl_dp = guard_table(evidence(rows).runs).to_dict("records")
    assert (kl["method"], kl["guard"], kl["trainings"]) == ("kl", "wise", 3)
    assert kl["mean_delta"] == pytest.approx(fmean([-5, 2, -1.5]))
    assert kl["mean_delta_guarded"] == pytest.approx(fmean([0, 3, -1.25]))
    assert (kl["success"], kl["success_guarded"]) == pytest.approx((100 / 3, 100 / 3))
    assert (kl["worse"], kl["worse_guarded"]) == (2, 1)
    assert (kl["worse_percent"], kl["worse_percent_guarded"]) == pytest.approx((200 / 3, 100 / 3))
    assert kl["mean_share"] == pytest.approx(50)
    assert (kl_dp["method"], kl_dp["guard"], kl_dp["trainings"]) == ("kl_dp", "rollback", 1)


def test_no_runs_have_no_kinds_and_no_guards() -> None:
    nothing = evidence([])
    assert kind_table(*nothing).empty and guard_table(nothing.runs).empty
