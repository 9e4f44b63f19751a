"""A finished transfer as rows of the table of runs, one a measurement: a training with a guard has two."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ktlight.models.kinds import kind
from ktlight.publication.sweep.rates import NO_RATES, Numbers, read_predictions, stage_changes, transfer_rates
from ktlight.report.runs import Finished
from ktlight.report.settings import UNSEEN
from ktlight.report.typed import typed_options

Row = dict[str, Any]

COLUMNS: Mapping[str, type] = {
    "folder": str, "samples": str, "method": str, "teacher": str, "student": str, "seed": int, "base_method": str,
    "part": str, "schedule": str, "router": str, "guard": str, "guard_share": float, "batchnorm": str,
    "teachers": int, "epochs": int,
    "acc_teacher": float, "acc_before": float, "acc_after": float, "difference": float, "delta": float, "low": float,
    "high": float, "gain": float, "loss": float, "complementary_knowledge": float, "transfer_rate": float,
    "teacher_share": float, "seconds": float, "num_eval": int, "teacher_family": str, "student_family": str,
    "teacher_kind": str, "student_kind": str, "teacher_params": int, "student_params": int, "weights_before": str,
    "weights_after": str, "options": str, "stages": str, "versions": str, **dict.fromkeys(NO_RATES, float),
}  # fmt: skip
"""The columns of the table of runs, and what is in them."""
UNKNOWN = {"router", "guard_share", "batchnorm", "acc_teacher", "difference", "complementary_knowledge",
           "transfer_rate", "teacher_share", "teacher_family", "teacher_kind", "teacher_params", "weights_after",
           "options", "stages", *NO_RATES}  # fmt: skip
"""Columns in which a row may have nothing."""
LATER = {"batchnorm"}
"""Columns that tables of earlier versions lack."""
OF_THE_TEACHER = ("acc_teacher", "difference", "complementary_knowledge", "transfer_rate", "teacher_share",
                  "teacher_family", "teacher_kind", "teacher_params", *NO_RATES)  # fmt: skip
NO_TEACHER = "none"
"""Stands for the teacher of a control: a training in which no teacher has a say, whatever the folder's name says."""
PLACES = ("method", "student", "teacher", "teachers", "data", "data.root", "data.train", "data.val", "seed",
          "experiment", "transfer.part", "schedule", "router", "guard")  # fmt: skip
"""Options that have a column of their own, or only say where the data lie."""
IDENTITY = re.compile(r"^identity:\n  data: (\w+)", re.M)


def rows_of(run: Finished) -> Iterator[Row]:
    """Yield the measurements of a finished transfer: with a guard, that without it first.

    ``method`` is still the plain one; `ktlight.publication.sweep.labels.method_labels` says more.
    """
    config, columns = _config(run.folder), read_predictions(run.folder) or {}
    row, classes = _row(run, config, columns), len(run.results["class_names"])
    measured = [row | _rates(columns, "after", classes)]
    if run.results["guard"]:
        measured.insert(0, row | _without_guard(row, run.results, _rates(columns, "unguarded", classes)))
    yield from measured if run.results.get("has_teacher", True) else map(_control, measured)


def _row(run: Finished, config: str, columns: Mapping[str, Numbers]) -> Row:
    results, models, guard = run.results, run.results["models"], run.results["guard"]
    student, teacher = models["student"], models.get("teacher", {"family": None, "parameters": None})
    statistics = results.get("batchnorm", {}).get("student")
    typed = typed_options(run.folder)
    same = ("method", "teacher", "student", "seed", "epochs", "schedule", "acc_teacher", "acc_before", "acc_after",
            "transfer_rate", "complementary_knowledge", "teacher_share", "num_eval", "weights_before",
            "weights_after")  # fmt: skip
    return {
        **{name: results[name] for name in same},
        "folder": str(run.folder),
        "samples": samples(results, config),
        "base_method": results["method"],
        "part": results.get("part", "all"),
        "router": typed.get("router"),
        "guard": "off" if not guard else "wise" if len(guard["tried"]) > 2 else "rollback",
        "guard_share": guard["share"] if guard else None,
        "batchnorm": None if statistics is None else "own" if statistics["kept"] else "batch",
        "teachers": len(models) - 1,
        "difference": results["acc_teacher"] - results["acc_before"],
        "delta": results["transfer_delta"],
        "low": results["transfer_delta_ci95"][0],
        "high": results["transfer_delta_ci95"][1],
        "gain": results["knowledge_gain"],
        "loss": results["knowledge_loss"],
        "seconds": sum(results["seconds"].values()),
        "teacher_family": teacher["family"],
        "student_family": student["family"],
        "teacher_kind": None if teacher["family"] is None else kind(teacher["family"]),
        "student_kind": kind(student["family"]),
        "teacher_params": teacher["parameters"],
        "student_params": student["parameters"],
        "options": written({name: value for name, value in typed.items() if _counts(name)}),
        "stages": written(stage_changes(columns) if columns else []),
        "versions": versions(results),
    }


def _rates(columns: Mapping[str, Numbers], after: str, classes: int) -> dict[str, float]:
    return transfer_rates({**columns, "after": columns[after]}, classes) if after in columns else NO_RATES


def _without_guard(row: Row, results: Mapping[str, Any], rates: Mapping[str, float]) -> Row:
    """Return what the training came to before its guard; of its weights nothing is known."""
    low, high = results["unguarded_transfer_delta_ci95"]
    options = {name: value for name, value in read(row["options"]).items() if not name.startswith("guard.")}
    return {
        **rates,
        "guard": "off",
        "guard_share": None,
        "acc_after": results["acc_before"] + results["unguarded_transfer_delta"],
        "delta": results["unguarded_transfer_delta"],
        "low": low,
        "high": high,
        "gain": results["unguarded_knowledge_gain"],
        "loss": results["unguarded_knowledge_loss"],
        "transfer_rate": rates["sample_rate_top100"],
        "weights_after": None,
        "options": written(options),
    }


def _control(row: Row) -> Row:
    """Return the row of a control, without what is known of the teacher that its folder happens to name."""
    options = {name: value for name, value in read(row["options"]).items() if not name.startswith("teacher.")}
    return row | dict.fromkeys(OF_THE_TEACHER) | {"teacher": NO_TEACHER, "teachers": 0, "options": written(options)}


def samples(results: Mapping[str, Any], config: str) -> str:
    """Return what a run was measured on, so that runs of different data are never put together."""
    split = "held-out training images" if results["evaluated_on"] == "holdout" else "samples"
    identity = IDENTITY.search(config)
    told = f" of {identity[1][:8]}" if identity else ""
    return f"{results['data']}, {results['num_eval']} {split}{told}"


def versions(results: Mapping[str, Any]) -> str:
    """Return the versions of the packages that the figures of a run depend on."""
    return ", ".join(f"{name} {each}" for name, each in results["versions"].items())


def written(facts: Any) -> str | None:
    """Return options or stages as text for a cell; nothing where there are none."""
    return json.dumps(facts) if facts else None


def read(cell: str | None) -> Any:
    """Return the options of a row again."""
    return json.loads(cell) if cell else {}


def _counts(option: str) -> bool:
    return option not in PLACES and not f"{option}.".startswith(tuple(f"{name}." for name in UNSEEN))


def _config(folder: Path) -> str:
    try:
        return (folder / "config.yaml").read_text()
    except (OSError, ValueError):
        return ""
