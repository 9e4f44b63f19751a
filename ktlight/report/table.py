"""The final tables of runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.markup import escape

from ktlight.models.label_words import labels_in_words
from ktlight.models.libraries.library import library_of
from ktlight.report.advice import better_teacher
from ktlight.report.layout import Column, console_for_tables, fitted

WITHIN_NOISE = "within noise"


def print_transfer(results: Mapping[str, Any], folder: Path, next_step: str) -> None:
    """Print the result of a transfer, its folder, and what to try next."""
    measures, values, remarks = zip(*_transfer_rows(results), strict=True)
    columns = [
        Column("measure", measures, right=False, fold=26),
        Column("%", values),
        Column("", remarks, right=False, fold=44),
    ]
    console = console_for_tables()
    console.print(escape(f"{results['method']}: {results['teacher']} -> {results['student']} on {results['data']}"))
    console.print(fitted(columns, console.width))
    for role, facts in results["models"].items():
        if labels := labels_in_words(facts.get("labels")):
            console.print(escape(f"the {role:<8} {labels}"))
    console.print(escape(f"folder       {short(folder)}"))
    console.print(escape(f"the page     {short(folder)}/report.html"))
    if results["epochs"]:
        library = library_of(results["models"]["student"]["architecture"])
        console.print(escape(f"the student  {library.usage_line(f'{short(folder)}/student')}"))
    console.print(escape(f"next         {next_step}"))


def print_transfer_line(results: Mapping[str, Any], folder: Path) -> None:
    """Print what a transfer did in one line: the jobs of a sweep, whose table comes at its end."""
    low, high = results["transfer_delta_ci95"]
    console_for_tables().print(
        f"{results['method']}: {results['teacher']} -> {results['student']}: {percent(results['acc_before'])} "
        f"{results['transfer_delta']:+.2f} ({low:+.2f} to {high:+.2f}) -> {percent(results['acc_after'])}  "
        f"{short(folder)}"
    )


def _transfer_rows(results: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    several, soup = "teachers" in results, "average" in results
    low, high = results["transfer_delta_ci95"]
    rows = [
        ("accuracy before", percent(results["acc_before"]), f"of {results['num_eval']} held-out samples"),
        ("accuracy of the teacher", percent(results["acc_teacher"]), "the best of them" if several else ""),
        ("accuracy of the ensemble", percent(results["acc_ensemble"]), "the most confident model, per sample"),
        ("  by mean probability", percent(results["acc_ensemble_mean"]), "no training either"),
        ("accuracy after", percent(results["acc_after"]), better_teacher(results)),
        (
            "transfer delta",
            f"{results['transfer_delta']:+.2f}",
            f"95% interval {low:+.2f} to {high:+.2f}{noise(results)}",
        ),
        ("knowledge gain", percent(results["knowledge_gain"]), "wrong before, right after"),
        ("knowledge loss", percent(results["knowledge_loss"]), "right before, wrong after"),
        ("complementary knowledge", percent(results["complementary_knowledge"]), "only a teacher was right"),
        ("transfer rate", percent(results["transfer_rate"]), "of that, now right"),
        ("taught by teachers", percent(results["teacher_share"]), "of the training samples"),
    ]
    for number, name in enumerate(results["teacher"].split("+"), 1):
        role = f"teacher{number}" if several else "teacher"
        if f"{role}_transfer_delta" in results:
            rows.append(_delta_row(f"{name}'s own delta", results, f"{role}_"))
    for number, stage in enumerate(results.get("stages", []), 1):
        rows.append(_delta_row(f"{stage['teacher']} alone" if soup else f"stage {number}: {stage['teacher']}", stage))
    if results.get("guard"):
        kept = f"{100 * results['guard']['share']:.0f}% of the way is kept"
        rows.append(_delta_row("delta without the guard", results, "unguarded_", kept))
    return rows


def _delta_row(label: str, figures: Mapping[str, Any], prefix: str = "", remark: str = "") -> tuple[str, str, str]:
    low, high = figures[f"{prefix}transfer_delta_ci95"]
    interval = f"95% interval {low:+.2f} to {high:+.2f}"
    return label, f"{figures[f'{prefix}transfer_delta']:+.2f}", f"{interval}; {remark}" if remark else interval


def print_pretrain(results: Mapping[str, Any], folder: Path) -> None:
    """Print the accuracy of a model that was trained."""
    _print_accuracy(
        f"{results['student']} trained on {results['data']} for {results['epochs']} epochs", results, folder
    )


def print_evaluate(results: Mapping[str, Any], folder: Path) -> None:
    """Print the accuracy of a model and how its images were prepared."""
    _print_accuracy(f"{results['student']} on {results['data']}", results, folder)


def _print_accuracy(what: str, results: Mapping[str, Any], folder: Path) -> None:
    console = console_for_tables()
    console.print(escape(f"{what}: accuracy {results['acc']:.2f}% of {results['num_eval']} samples"))
    facts = results["models"]["student"]
    console.print(escape(f"images  {preprocessing(facts)}"))
    if labels := labels_in_words(facts.get("labels")):
        console.print(escape(f"classes {labels}"))
    console.print(escape(f"folder  {short(folder)}"))


def preprocessing(facts: Mapping[str, Any]) -> str:
    """Return how a model's images are prepared, from its facts in the results.

    >>> preprocessing({"input_size": [3, 64, 64], "crop_pct": 0.875, "crop_mode": "center", "interpolation": "bicubic",
    ...                "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]})
    '64 x 64, crop 0.875 center, bicubic, mean 0.5 0.5 0.5, std 0.25 0.25 0.25'
    """
    if facts["input_size"] is None:
        return "as the data give them"
    height, width = facts["input_size"][1:]
    mean, std = (" ".join(f"{value:.4g}" for value in facts[name]) for name in ("mean", "std"))
    crop = f"crop {facts['crop_pct']:g} {facts['crop_mode']}"
    return f"{height} x {width}, {crop}, {facts['interpolation']}, mean {mean}, std {std}"


def noise(results: Mapping[str, Any]) -> str:
    """Return a remark if the interval of the transfer delta contains zero, else nothing."""
    low, high = results["transfer_delta_ci95"]
    return f" ({WITHIN_NOISE})" if low <= 0 <= high else ""


def percent(value: float | None) -> str:
    """Return a figure with two decimals, or a dash where there is none."""
    return "-" if value is None else f"{value:.2f}"


def short(path: Path) -> str:
    """Return the path relative to the working folder if that is shorter."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
