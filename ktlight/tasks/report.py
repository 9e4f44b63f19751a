"""Tables, figures and one page of finished runs (task=report). It needs neither torch nor images nor models."""

from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from ktlight.config.identity import lasting
from ktlight.config.runs import listed_runs
from ktlight.errors import UserError
from ktlight.publication.sweep.collection import Collection, collect
from ktlight.publication.sweep.paper import read_paper
from ktlight.publication.sweep.publish import report_of, write_report
from ktlight.publication.weights_and_biases.pages import log_report, report_run
from ktlight.publication.weights_and_biases.workspace import keep_workspace, workspace
from ktlight.report.folder import PAGE
from ktlight.report.published import print_report
from ktlight.report.runs import folders_and_tables_of
from ktlight.training.record import Run


def run(config: DictConfig, run: Run) -> dict[str, Any]:
    """Read the runs and write their report.

    Raises:
        UserError: If there is nothing to report, or a file cannot be read.
    """
    patterns = _patterns(config)
    paper = None if config.report.paper is None else read_paper(Path(config.report.paper))
    collection = collect(*folders_and_tables_of(patterns))
    if not _holds_anything(collection) and paper is None:
        raise UserError(_nothing(collection, patterns))
    run.begin()
    run.folder.write_config(lasting(config))
    run.phase("write")
    report = report_of(collection, paper)
    title = f"Report on {', '.join(patterns) or 'the paper'}"
    page = write_report(report, run.folder.path, title)
    results = run.finish(
        {
            "task": "report",
            "runs": patterns,
            "transfers": int((collection.runs["guard"] == "off").sum()),
            "measurements": len(collection.runs),
            "repeated": collection.repeated,
            "discoveries": len(collection.discoveries),
            "other_runs": dict(collection.others),
            "missing": len(collection.missing),
            "success": _rows(report.tables["success"]),
            "claims": _rows(collection.claims),
            "figures": [each.name for each in report.drawings],
            "tables": list(report.tables),
            "left_out": [{"folder": str(each.folder), "reason": each.reason} for each in collection.left_out],
        }
    )
    if config.report.wandb is not None:
        with report_run(config.report.wandb, title, run.folder.path) as tracked:
            tracked.do(partial(log_report, tables=report.tables, page=page, file=run.folder.path / PAGE))
            keep_workspace(tracked, workspace(config.report.wandb, title), run.folder.path)
    return results


def show(results: dict[str, Any], folder: Path) -> None:
    """Print the table of methods, what was left out, and where the page is."""
    print_report(results, folder / PAGE)


def _patterns(config: DictConfig) -> list[str]:
    patterns = listed_runs(config)
    if not patterns and config.report.paper is None:
        raise UserError(
            "task=report needs to know of which runs: 'runs=runs/**', or a list of folders, patterns or csv files"
        )
    return patterns


def _holds_anything(collection: Collection) -> bool:
    return bool(len(collection.runs) or collection.discoveries)


def _nothing(collection: Collection, patterns: list[str]) -> str:
    found = ", ".join(f"{count} of task={task}" for task, count in collection.others.items())
    reasons = [str(each) for each in collection.left_out[:3]]
    told = "; ".join([*([f"there are {found}"] if found else []), *reasons])
    return f"runs={','.join(patterns)} hold no finished transfer and no discovery{f' ({told})' if told else ''}"


def _rows(table: Any) -> list[dict[str, Any]]:
    """Return the rows of a table as JSON knows them: None for NaN."""
    return [{name: None if cell != cell else cell for name, cell in row.items()} for row in table.to_dict("records")]
