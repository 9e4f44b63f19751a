"""The final tables of runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

WITHIN_NOISE = "within noise"


def print_transfer(results: Mapping[str, Any], folder: Path, next_command: str) -> None:
    """Print the result of a transfer, its folder, and what to try next."""
    table = Table(title=f"{results['method']}: {results['teacher']} -> {results['student']} on {results['data']}")
    table.add_column("measure")
    table.add_column("%", justify="right")
    table.add_column("")
    for row in _transfer_rows(results):
        table.add_row(*row)
    console = console_for_tables()
    console.print(table)
    console.print(f"folder       {short(folder)}")
    if results["epochs"]:
        console.print(f"the student  timm.create_model('local-dir:{short(folder)}/student', pretrained=True)")
    console.print(f"next         {escape(next_command)}")


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
        ("accuracy after", percent(results["acc_after"]), ""),
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
    console = console_for_tables()
    console.print(
        f"{results['student']} trained on {results['data']} for {results['epochs']} epochs: accuracy "
        f"{results['acc']:.2f}% of {results['num_eval']} held-out samples"
    )
    console.print(f"folder  {short(folder)}")


def print_evaluate(results: Mapping[str, Any], folder: Path) -> None:
    """Print the accuracy of a model."""
    console = console_for_tables()
    console.print(
        f"{results['student']} on {results['data']}: accuracy {results['acc']:.2f}% of {results['num_eval']} samples"
    )
    console.print(f"folder  {short(folder)}")


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


def console_for_tables() -> Console:
    """Return a console wide enough for a comparison, also in a log file."""
    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console = Console(highlight=False, soft_wrap=True, width=180)
    return console
