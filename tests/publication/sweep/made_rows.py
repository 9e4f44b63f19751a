"""Made-up rows of the table of runs."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ktlight.publication.sweep.evidence import Evidence
from ktlight.publication.sweep.rates import NO_RATES
from ktlight.publication.sweep.rows import Row
from ktlight.publication.sweep.statistics import pair_table
from ktlight.publication.sweep.transfers import transfer_table

BEFORE = 50.0
TEACHERS, STUDENTS = "abcde", "vwxyz"
FIELDS: Row = {
    "folder": "runs/one", "samples": "digits", "part": "all", "schedule": "parallel", "router": None, "guard": "off",
    "guard_share": None, "batchnorm": None, "teachers": 1, "epochs": 6, "teacher_share": 50.0, "seconds": 1.0,
    "num_eval": 1000, "teacher_family": "resnet", "student_family": "resnet", "teacher_kind": "cnn",
    "student_kind": "cnn", "teacher_params": 1000, "student_params": 2000, "weights_before": "0", "options": None,
    "stages": None, "versions": "ktlight 0", "complementary_knowledge": 10.0, "transfer_rate": 20.0, **NO_RATES,
}  # fmt: skip


def row(method: str, teacher: str, student: str, delta: float, seed: int = 0, **changes: Any) -> Row:
    """Return a row whose interval is one point to each side, with a teacher 5 points above the student."""
    loss = changes.pop("loss", 5.0)
    made = {
        **FIELDS, "method": method, "base_method": method, "teacher": teacher, "student": student, "seed": seed,
        "delta": delta, "low": delta - 1, "high": delta + 1, "gain": loss + delta, "loss": loss,
        "difference": 5.0, "acc_before": BEFORE, "acc_after": BEFORE + delta,
    }  # fmt: skip
    made |= changes
    made["acc_teacher"] = made["difference"] if made["difference"] is None else BEFORE + made["difference"]
    return made | {"weights_after": changes.get("weights_after", repr(sorted(made.items(), key=str)))}


def control(method: str, student: str, delta: float, **changes: Any) -> Row:
    """Return the row of a control."""
    return row(method, "none", student, delta, teachers=0, difference=None, complementary_knowledge=None, **changes)


def evidence(rows: Iterable[Row]) -> Evidence:
    """Return the tables of some rows."""
    runs = transfer_table(list(rows))
    return Evidence(runs, pair_table(runs))


@st.composite
def grids(draw: st.DrawFn, method: str = "kl_dp") -> list[Row]:
    """Return rows of one method: pairs of two to five teachers and students, each with one or two seeds."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    pairs = draw(st.lists(st.tuples(st.sampled_from(TEACHERS), st.sampled_from(STUDENTS)), min_size=1, unique=True))
    rows = []
    for teacher, student in pairs:
        difference = float(rng.choice([-9.0, -3.0, 0.5, 3.0, 3.5, 20.0]))
        for seed in range(draw(st.integers(1, 2))):
            delta, loss = float(rng.normal(0, 2)), float(rng.uniform(1, 9))
            rows.append(row(method, teacher, student, delta, seed, difference=difference, loss=loss))
    return rows
