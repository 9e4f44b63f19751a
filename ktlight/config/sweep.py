"""The final table of a sweep, with all its transfers."""

import sys
from functools import partial
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

_sweeps: list[tuple[Path, DictConfig]] = []


class Comparison(Callback):
    """Hydra callback that notes where a sweep keeps its runs; `show_comparison` prints them when it is over."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Note folder and config of the sweep. Hydra's hook for the end is not called when a job fails."""
        if not config.dry_run:
            _sweeps.append((Path(config.hydra.sweep.dir).absolute(), config))


def show_comparison() -> None:
    """Print the transfers of the sweep that has just ended, if there was one; write ``comparison.csv`` and its page."""
    while _sweeps:
        folder, config = _sweeps.pop()
        from ktlight.report.comparison import print_comparison
        from ktlight.report.runs import read_runs
        from ktlight.report.spreadsheet import write_comparison
        from ktlight.report.typed import typed_options

        finished, unreadable = read_runs([folder])
        for each in unreadable:
            print(each, file=sys.stderr)
        transfers = [
            run.results | {"options": typed_options(run.folder), "folder": str(run.folder)}
            for run in finished
            if run.results["task"] == "transfer"
        ]
        if transfers:
            print_comparison(transfers, folder)
            write_comparison(transfers, folder / "comparison.csv")
            _write_page(config, folder)


def _write_page(config: DictConfig, folder: Path) -> None:
    """Write the page of a sweep, say where it is, and log it if the jobs were logged."""
    from ktlight.publication.finished import nothing_lost
    from ktlight.publication.sweep.publish import write_sweep_page
    from ktlight.publication.weights_and_biases.pages import log_page, report_run
    from ktlight.publication.weights_and_biases.workspace import keep_workspace, workspace
    from ktlight.report.folder import PAGE
    from ktlight.report.table import short

    with nothing_lost(folder):
        page = write_sweep_page(folder)
        print(f"page     {short(folder / PAGE)}")
        if config.logger.name == "wandb":
            group = config.logger.group or str(config.hydra.sweep.dir).replace("/", "-")
            name = f"Sweep {folder.name}"
            with report_run(config.logger.project, name, folder, group) as tracked:
                tracked.do(partial(log_page, page=page, file=folder / PAGE))
                keep_workspace(tracked, workspace(config.logger.project, name, group), folder)
