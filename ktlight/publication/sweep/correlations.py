"""What goes with the outcome of a transfer: correlations with properties of the teacher and the student."""

from math import nan
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pandas import DataFrame


def correlations(pairs: "DataFrame") -> "DataFrame":
    """Return Pearson's r of the properties of teacher and student with delta, gain and loss, per method.

    Families are columns of ones and zeros. NaN where a property does not vary; n counts pairs with both figures.
    """
    import pandas as pd

    rows = []
    for (samples, method), group in pairs.groupby(["samples", "method"], sort=False):
        for name, column in properties(group).items():
            for outcome in ("delta", "gain", "loss"):
                known = column.notna() & group[outcome].notna()
                r = pearson(column[known].to_numpy(float), group[outcome][known].to_numpy(float))
                rows.append({"samples": samples, "method": method, "property": name, "outcome": outcome, "r": r,
                             "n": int(known.sum())})  # fmt: skip
    return pd.DataFrame(rows, columns=["samples", "method", "property", "outcome", "r", "n"])


def properties(pairs: "DataFrame") -> dict[str, Any]:
    """Return what may explain the outcome of a transfer, by name; parameters as logarithms."""
    logs = {f"log {side} parameters": np.log(pairs[f"{side}_params"].astype(float)) for side in ("teacher", "student")}
    families = {
        f"{side} is {kind}": (pairs[f"{side}_kind"] == kind).where(pairs[f"{side}_kind"].notna()).astype(float)
        for side in ("teacher", "student")
        for kind in sorted(pairs[f"{side}_kind"].dropna().unique())
    }
    return {
        **logs,
        "teacher accuracy": pairs["acc_teacher"],
        "student accuracy": pairs["acc_before"],
        "accuracy difference": pairs["difference"],
        "complementary knowledge": pairs["complementary_knowledge"],
        **families,
    }


def pearson(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return Pearson's correlation; NaN where one of the two does not vary, or of fewer than three values."""
    if len(first) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return nan
    return float(np.corrcoef(first, second)[0, 1])
