"""Finished transfers as a flat table, one row a measurement."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ktlight.publication.sweep.labels import method_labels
from ktlight.publication.sweep.rows import COLUMNS, Row

if TYPE_CHECKING:
    from pandas import DataFrame

MEASURED = ["samples", "method", "teacher", "student", "seed", "weights_before", "num_eval", "gain", "loss"]


def transfer_table(rows: Sequence[Row]) -> "DataFrame":
    """Return the measurements of transfers, one row each; what repeats another to the last bit counts once.

    Args:
        rows: From run folders (`ktlight.publication.sweep.rows.rows_of`), or from csv files
            (`ktlight.publication.sweep.saved.saved_rows`).

    Returns:
        ``samples`` tells apart the data that runs were measured on: name, split, number and identity. ``method`` is
        that of `method_labels`. ``difference`` is the teacher's accuracy minus that of the student before. Parameters
        and family of several teachers are missing, and everything of the teacher of a control, whose name is ``none``.
        ``stages`` holds the changes of the stages of a schedule as JSON, ``options`` what was typed. A training with a
        guard has two rows: as it was without (``guard`` is ``off``), and with.
    """
    import pandas as pd

    labels = method_labels(rows)
    told = [row | {"method": label} for row, label in zip(rows, labels, strict=True)]
    table = pd.DataFrame(told, columns=list(COLUMNS))
    table = table.astype({name: float for name, kind in COLUMNS.items() if kind is float})
    table = table.drop_duplicates([*MEASURED, "weights_after"])
    trained, before_guard = table[table["weights_after"].notna()], table["weights_after"].isna()
    known = pd.MultiIndex.from_frame(trained[MEASURED])
    return table[~(before_guard & pd.MultiIndex.from_frame(table[MEASURED]).isin(known))].reset_index(drop=True)
