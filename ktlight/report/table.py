"""The tables that a run and a sweep end with."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

WITHIN_NOISE = "within noise"


def print_transfer(results: Mapping[str, Any], folder: Path) -> None:
    """Print what a transfer did, where it lies, and what to try next."""
    table = Table(title=f"{results['method']}: {results['teacher']} -> {results['student']} on {results['data']}")
    table.add_column("measure")
    table.add_column("%", justify="right")
    table.add_column("")
    for row in _transfer_rows(results):
        table.add_row(*row)
    console = _console()
    console.print(table)
    console.print(f"folder       {_short(folder)}")
    console.print(f"the student  timm.create_model('local-dir:{_short(folder)}/student', pretrained=True)")
    console.print(
        f"next         python run.py -m method=kl,xe_kl,kl_dp,kl_dp_unsup teacher={results['teacher']} "
        f"student={results['student']} data={results['data']}"
    )


def _transfer_rows(results: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    low, high = results["transfer_delta_ci95"]
    rows = [
        ("accuracy before", _percent(results["acc_before"]), f"of {results['num_eval']} held-out samples"),
        ("accuracy of the teacher", _percent(results["acc_teacher"]), ""),
        ("accuracy of the ensemble", _percent(results["acc_ensemble"]), "the more confident of the two"),
        ("accuracy after", _percent(results["acc_after"]), ""),
        (
            "transfer delta",
            f"{results['transfer_delta']:+.2f}",
            f"95% interval {low:+.2f} to {high:+.2f}{_noise(results)}",
        ),
        ("knowledge gain", _percent(results["knowledge_gain"]), "wrong before, right after"),
        ("knowledge loss", _percent(results["knowledge_loss"]), "right before, wrong after"),
        ("complementary knowledge", _percent(results["complementary_knowledge"]), "only the teacher was right"),
        ("transfer rate", _percent(results["transfer_rate"]), "of that, now right"),
        ("taught by the teacher", _percent(results["teacher_share"]), "of the training samples"),
    ]
    if "teacher_transfer_delta" in results:
        low, high = results["teacher_transfer_delta_ci95"]
        change = f"{results['teacher_transfer_delta']:+.2f}"
        rows.append(("teacher's own delta", change, f"95% interval {low:+.2f} to {high:+.2f}"))
    return rows


def print_pretrain(results: Mapping[str, Any], folder: Path) -> None:
    """Print the accuracy of a model that was trained."""
    console = _console()
    console.print(
        f"{results['student']} trained on {results['data']} for {results['epochs']} epochs: accuracy "
        f"{results['acc']:.2f}% of {results['num_eval']} held-out samples"
    )
    console.print(f"folder  {_short(folder)} (and in the local zoo: student={results['student']} finds it from now on)")


def print_evaluate(results: Mapping[str, Any], folder: Path) -> None:
    """Print the accuracy of a model."""
    console = _console()
    console.print(
        f"{results['student']} on {results['data']}: accuracy {results['acc']:.2f}% of {results['num_eval']} samples"
    )
    console.print(f"folder  {_short(folder)}")


def print_comparison(runs: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Print the transfers of a sweep side by side, a row a run."""
    table = Table(title=f"{len(runs)} transfers, in % of {runs[0]['num_eval']} held-out samples")
    for name in ("method", "teacher", "student", "data", "seed"):
        table.add_column(name)
    for name in ("before", "teacher acc", "ensemble", "after", "delta", "95% interval", "gain", "loss", "share"):
        table.add_column(name, justify="right")
    table.add_column("")
    for run in runs:
        low, high = run["transfer_delta_ci95"]
        table.add_row(
            run["method"], run["teacher"], run["student"], run["data"], str(run["seed"]),
            *(_percent(run[f"acc_{name}"]) for name in ("before", "teacher", "ensemble", "after")),
            f"{run['transfer_delta']:+.2f}", f"{low:+.2f} to {high:+.2f}",
            _percent(run["knowledge_gain"]), _percent(run["knowledge_loss"]), _percent(run["teacher_share"]),
            _noise(run).strip(" ()"),
        )  # fmt: skip
    console = _console()
    console.print(table)
    console.print(f"folder  {_short(folder)}")


def _noise(results: Mapping[str, Any]) -> str:
    low, high = results["transfer_delta_ci95"]
    return f" ({WITHIN_NOISE})" if low <= 0 <= high else ""


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _short(path: Path) -> str:
    """Return the path relative to the working folder where that is shorter."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _console() -> Console:
    # wide enough for the comparison in a log file too; no colours where they would be noise
    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console = Console(highlight=False, soft_wrap=True, width=180)
    return console
