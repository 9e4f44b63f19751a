"""Made-up transfers of a small grid, as run folders and as the flat table of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from made import facts, transfer_results, write_run

from ktlight.publication.sweep.rows import rows_of
from ktlight.publication.sweep.transfers import transfer_table
from ktlight.report.runs import read_runs

SIZES = {"a": 1_000, "b": 10_000, "c": 100_000}
FAMILIES = {"a": "resnet", "b": "vision_transformer", "c": "mlp_mixer"}
ACCURACIES = {"a": 60.0, "b": 70.0, "c": 80.0}
DELTAS = {
    "kl": {("a", "b"): [-3.0, -1.0], ("c", "b"): [2.0, 4.0], ("b", "a"): [1.0, 2.0], ("c", "a"): [-1.0, 0.5]},
    "kl_dp": {("a", "b"): [1.0, 1.0], ("c", "b"): [2.0, 3.0], ("b", "a"): [1.0, 3.0], ("c", "a"): [0.5, -0.25]},
}
"""Per method and pair (teacher, student), the deltas of the seeds 0, 1, ...; the students are b and a."""


def results(method: str, teacher: str, student: str, seed: int, delta: float, **changes: Any) -> dict[str, Any]:
    """Return the results of one run of the grid."""
    models = {
        role: facts(name, SIZES[name]) | {"family": FAMILIES[name]}
        for role, name in (("teacher", teacher), ("student", student))
    }
    before = ACCURACIES[student]
    return transfer_results(
        method=method, teacher=teacher, student=student, seed=seed, models=models, acc_before=before,
        acc_teacher=ACCURACIES[teacher], acc_after=before + delta, transfer_delta=delta,
        transfer_delta_ci95=[delta - 1, delta + 1], knowledge_gain=5 + delta, knowledge_loss=5.0,
        weights_after=f"{method}{teacher}{student}{seed}{delta}", **changes,
    )  # fmt: skip


def write_grid(
    root: Path, deltas: Mapping[str, Mapping[tuple[str, str], list[float]]] = DELTAS, **changes: Any
) -> Path:
    """Write a folder of run folders, one a run of the grid."""
    for method, pairs in deltas.items():
        for (teacher, student), values in pairs.items():
            for seed, delta in enumerate(values):
                name = f"{method}-{teacher}-to-{student}-{seed}-{changes.get('data', '')}"
                write_run(root / name, results(method, teacher, student, seed, delta, **changes), f"method={method}")
    return root


def guarded(
    method: str, teacher: str, student: str, seed: int, delta: float, unguarded: float, share: float, **changes: Any
) -> dict[str, Any]:
    """Return the results of one run of the grid with ``guard=wise``."""
    without = {
        "transfer_delta": unguarded, "transfer_delta_ci95": [unguarded - 1, unguarded + 1], "mcnemar_p": 0.5,
        "knowledge_gain": 5 + unguarded, "knowledge_loss": 5.0,
    }  # fmt: skip
    guard = {"share": share, "tried": [{"share": point} for point in (0.0, 0.5, 1.0)], "held_out": 100}
    unguarded_fields = {f"unguarded_{name}": value for name, value in without.items()}
    return results(method, teacher, student, seed, delta, guard=guard, **unguarded_fields, **changes)


def control(root: Path, method: str, deltas: Mapping[tuple[str, str], float]) -> Path:
    """Write runs in which no teacher has a say: by student, and by the teacher that the folder happens to name."""
    for (teacher, student), delta in deltas.items():
        run = results(method, teacher, student, 0, delta)
        run |= {"weights_after": f"{method}{student}", "has_teacher": False}
        write_run(root / f"{method}-{teacher}-to-{student}", run, f"method={method}")
    return root


def table(root: Path) -> Any:
    """Return the flat table of the runs in a folder."""
    return transfer_table([row for run in read_runs([root])[0] for row in rows_of(run)])
