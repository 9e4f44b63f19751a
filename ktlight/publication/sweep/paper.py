"""The results that the authors of the paper logged, in the same form as one's own.

Roth et al. (ICLR 2024, arXiv 2310.17653); ``students_leaderboard.csv`` of their public code: a row per approach and
student, over 20 teachers on ImageNet.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from ktlight.errors import UserError
from ktlight.publication.sweep.statistics import SUCCESS

if TYPE_CHECKING:
    from pandas import DataFrame

SOURCE = "Roth et al."
SAMPLES = "ImageNet, Roth et al. (ICLR 2024)"
APPROACHES = {
    "KL_Dist": "kl",
    "XEKL_Dist": "xe_kl",
    "CD_Dist": "cd",
    "CRD_Dist": "crd",
    "XEKL+MCL_Dist": "xe_kl_mcl",
    "KL+MT_Dist": "kl_dp",
    "KL+MT_u_Dist": "kl_dp_unsup",
}
"""Their approaches and our methods."""
LEFT_OUT = (144, 261, 63, 139, 237, 302, 40, 299, 232, 285)
"""Students that their figure leaves out."""
COLLAPSED = -10.0
"""It also leaves out students whose mean delta is at most this."""
COLUMNS = {
    "student_name": "student", "pos_dist_delta": "success", "mean_dist_delta": "mean_delta",
    "std_dist_delta": "std_delta", "mean_k_gain": "mean_gain", "std_k_gain": "std_gain", "mean_k_loss": "mean_loss",
    "std_k_loss": "std_loss", "student_params": "student_params",
}  # fmt: skip


def read_paper(file: Path) -> "DataFrame":
    """Return the students of the paper's success figure, with the columns of `ktlight.publication.sweep.statistics`.

    Raises:
        UserError: If the file does not exist or is another one.
    """
    import pandas as pd

    try:
        table = pd.read_csv(file)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no csv file"
        raise UserError(f"report.paper={file} cannot be read: {reason}") from error
    if missing := {"approach", "student_id", *COLUMNS} - set(table.columns):
        raise UserError(
            f"report.paper={file} has no column {', '.join(sorted(missing))}: give students_leaderboard.csv of the "
            "paper's public code"
        )
    shown = table[~table["student_id"].isin(LEFT_OUT) & (table["mean_dist_delta"] > COLLAPSED)]
    students = shown.rename(columns=COLUMNS)[list(COLUMNS.values())]
    return students.assign(method=shown["approach"].map(APPROACHES), source=SOURCE, samples=SAMPLES).dropna(
        subset="method"
    )


def paper_success(students: "DataFrame") -> "DataFrame":
    """Return median success and mean delta per method over the students, as `statistics.success_table` does."""
    groups = students.groupby(["method", "samples"], sort=False)
    table = groups["success"].median().rename("median_success").to_frame()
    table["mean_delta"], table["n"] = groups["mean_delta"].mean(), groups.size()
    return table.reset_index().reindex(columns=SUCCESS)
