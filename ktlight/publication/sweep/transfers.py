"""Finished transfers as a flat table, one row a run."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktlight.models.kinds import kind
from ktlight.publication.sweep.rates import read_predictions, stage_changes, transfer_rates
from ktlight.report.runs import Finished
from ktlight.report.settings import UNSEEN, short_names
from ktlight.report.typed import typed_options

if TYPE_CHECKING:
    from pandas import DataFrame

PLACES = (
    "method",
    "student",
    "teacher",
    "teachers",
    "data",
    "data.root",
    "data.train",
    "data.val",
    "seed",
    "experiment",
)
"""Options that have a column of their own, or only say where the data lie."""
OF_MODELS = ("student.", "teacher.")
IDENTITY = re.compile(r"^identity:\n  data: (\w+)", re.M)
REPEATED = ["samples", "method", "teacher", "student", "seed", "weights_before", "weights_after", "num_eval"]


def transfer_table(runs: Sequence[Finished], *, predictions: bool = True) -> "DataFrame":
    """Return the transfers among finished runs, one row each; a run that repeats another to the last bit counts once.

    Args:
        runs: Finished runs of any task, as `ktlight.report.runs.read_runs` returns them.
        predictions: Whether to read their ``predictions.parquet`` too, for the rates by class; 3 ms a run.

    Returns:
        ``samples`` tells apart the data that runs were measured on: name, split, number and identity. ``method`` is the
        method, with the options in which runs of it differ. ``difference`` is the teacher's accuracy minus that of the
        student before. Parameters and family of several teachers are missing. ``stages`` holds the changes of the
        stages of a schedule; the further columns are those of `ktlight.publication.sweep.rates.transfer_rates`.
    """
    import pandas as pd

    transfers = [run for run in runs if run.results["task"] == "transfer"]
    rows = [_row(run, predictions) for run in transfers]
    for row, label in zip(rows, method_labels(rows, [typed_options(run.folder) for run in transfers]), strict=True):
        row["method"] = label
    table = pd.DataFrame(rows, columns=None if rows else list(COLUMNS))
    return table.drop_duplicates(REPEATED, ignore_index=True) if rows else table


COLUMNS = (
    "folder", "samples", "method", "teacher", "student", "seed", "epochs", "teacher_family", "student_family",
    "teacher_kind", "student_kind", "teacher_params", "student_params", "acc_teacher", "acc_before", "acc_after",
    "difference", "delta", "low", "high", "gain", "loss", "complementary_knowledge", "transfer_rate", "teacher_share",
    "seconds", "num_eval", "weights_before", "weights_after", "stages",
)  # fmt: skip


def _row(run: Finished, predictions: bool) -> dict[str, Any]:
    results = run.results
    models = results["models"]
    student, teacher = models["student"], models.get("teacher", {"family": None, "parameters": None})
    same = ("method", "teacher", "student", "seed", "epochs", "acc_teacher", "acc_before", "acc_after", "transfer_rate",
            "complementary_knowledge", "teacher_share", "num_eval", "weights_before", "weights_after")  # fmt: skip
    columns = read_predictions(run.folder) if predictions else None
    return {
        "folder": str(run.folder),
        "samples": samples(run),
        **{name: results[name] for name in same},
        "teacher_family": teacher["family"],
        "student_family": student["family"],
        "teacher_kind": None if teacher["family"] is None else kind(teacher["family"]),
        "student_kind": kind(student["family"]),
        "teacher_params": teacher["parameters"],
        "student_params": student["parameters"],
        "difference": results["acc_teacher"] - results["acc_before"],
        "delta": results["transfer_delta"],
        "low": results["transfer_delta_ci95"][0],
        "high": results["transfer_delta_ci95"][1],
        "gain": results["knowledge_gain"],
        "loss": results["knowledge_loss"],
        "seconds": sum(results["seconds"].values()),
        "stages": stage_changes(columns) if columns else [],
        **(transfer_rates(columns, len(results["class_names"])) if columns else {}),
    }


def samples(run: Finished) -> str:
    """Return what a run was measured on, so that runs of different data are never put together."""
    results = run.results
    split = "held-out training images" if results["evaluated_on"] == "holdout" else "samples"
    identity = data_identity(run.folder)
    told = f" of {identity[:8]}" if identity else ""
    return f"{results['data']}, {results['num_eval']} {split}{told}"


def data_identity(folder: Path) -> str | None:
    """Return the hash of the data that a run used; None where its ``config.yaml`` does not say."""
    try:
        found = IDENTITY.search((folder / "config.yaml").read_text())
    except (OSError, ValueError):
        return None
    return found[1] if found else None


def method_labels(rows: Sequence[Mapping[str, Any]], typed: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the method of each run, with the options in which runs of that method on the same samples differ.

    Options of a model count only where they differ for one pair: otherwise the model explains them.

    >>> rows = [{"samples": "digits", "method": "kl", "teacher": "a", "student": "b"}] * 2
    >>> method_labels(rows, [{"optim.lr": "0.1"}, {"optim.lr": "0.2"}])
    ['kl lr=0.1', 'kl lr=0.2']
    """
    methods: dict[tuple[str, ...], list[int]] = {}
    for number, row in enumerate(rows):
        methods.setdefault((row["samples"], row["method"]), []).append(number)
    labels = [row["method"] for row in rows]
    for members in methods.values():
        names = dict.fromkeys(name for number in members for name in typed[number] if _counts(name))
        differing = [name for name in names if _differs(name, [(rows[n], typed[n]) for n in members])]
        short = short_names(differing)
        for number in members:
            told = (f"{short[name]}={typed[number].get(name, 'default')}" for name in differing)
            labels[number] = " ".join([labels[number], *told])
    return labels


def _counts(option: str) -> bool:
    return option not in PLACES and not f"{option}.".startswith(tuple(f"{name}." for name in UNSEEN))


def _differs(option: str, runs: Iterable[tuple[Mapping[str, Any], Mapping[str, str]]]) -> bool:
    values: dict[Any, set[str | None]] = {}
    for row, typed in runs:
        pair = (row["teacher"], row["student"]) if option.startswith(OF_MODELS) else None
        values.setdefault(pair, set()).add(typed.get(option))
    return any(len(each) > 1 for each in values.values())
