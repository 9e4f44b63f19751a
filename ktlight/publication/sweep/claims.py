"""The claims of the paper one by one, and those made here, computed from finished transfers.

Roth et al. (ICLR 2024, arXiv 2310.17653). A claim about a mean holds where its 95% interval lies on the claimed side of
zero, does not where it lies on the other, and is not clear between; without the runs it needs it is not measured.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from ktlight.publication.sweep import own_claims, paper_claims
from ktlight.publication.sweep.evidence import UNMEASURED, Evidence, Judged, NotMeasuredError

if TYPE_CHECKING:
    from pandas import DataFrame

CLAIMS: dict[str, Callable[[Evidence], Judged]] = {
    "every teacher knows something that the student does not": paper_claims.knows_something,
    "that knowledge lies in few classes": paper_claims.in_few_classes,
    "plain distillation succeeds only with clearly stronger teachers": paper_claims.plain_needs_strong_teachers,
    "plain distillation overwrites what the student knew": paper_claims.plain_overwrites,
    "data partitioning turns nearly every transfer into a gain": paper_claims.nearly_every_transfer_gains,
    "the gain is there on average, and comes from the teacher": paper_claims.gains_from_the_teacher,
    "it works as well without labels": paper_claims.works_without_labels,
    "weight interpolation raises the success rate": paper_claims.interpolation_raises_success,
    "stronger teachers give more": paper_claims.stronger_teachers_give_more,
    "larger students gain more": paper_claims.larger_students_gain_more,
    "knowledge of the top classes is transferred first": paper_claims.top_classes_first,
    "several teachers teach best one after the other": paper_claims.one_teacher_after_the_other,
    "beyond the paper: the guard prevents harm": own_claims.guard_prevents_harm,
    "beyond the paper: a router gains 1.5 times as much": own_claims.better_router,
    "beyond the paper: a method raises every student": own_claims.raises_every_student,
}


def claim_table(runs: "DataFrame", pairs: "DataFrame") -> "DataFrame":
    """Return one row per set of samples, part of the student and claim: ``claim``, ``verdict``, ``figure``.

    The part is that which learned, all or the head. None has rows where no claim is measured.
    """
    import pandas as pd

    rows = []
    trained = runs[runs["epochs"] > 0]
    for samples, part in trained[["samples", "part"]].drop_duplicates().itertuples(index=False):
        evidence = Evidence(*(table[(table["samples"] == samples) & (table["part"] == part)]
                              for table in (trained, pairs)))  # fmt: skip
        judged = {claim: _judged(judge, evidence) for claim, judge in CLAIMS.items()}
        if any(verdict != UNMEASURED for verdict, _ in judged.values()):
            rows += [(samples, part, claim, *each) for claim, each in judged.items()]
    return pd.DataFrame(rows, columns=["samples", "part", "claim", "verdict", "figure"])


def _judged(judge: Callable[[Evidence], Judged], evidence: Evidence) -> Judged:
    try:
        return judge(evidence)
    except NotMeasuredError:
        return UNMEASURED, ""
