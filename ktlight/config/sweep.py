"""The final table of a sweep, with all its transfers."""

import sys
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

_sweeps: list[Path] = []


class Comparison(Callback):
    """Hydra callback that notes where a sweep keeps its runs; `show_comparison` prints them when it is over."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Note the folder of the sweep. Hydra's hook for the end is not called when a job fails."""
        _sweeps.append(Path(config.hydra.sweep.dir).absolute())


def show_comparison() -> None:
    """Print the transfers of the sweep that has just ended, if there was one; write ``comparison.csv`` and its page."""
    while _sweeps:
        folder = _sweeps.pop()
        from ktlight.publication.finished import write_page_of
        from ktlight.publication.publish import write_sweep_page
        from ktlight.report.comparison import print_comparison
        from ktlight.report.runs import read_runs
        from ktlight.report.spreadsheet import write_comparison
        from ktlight.report.table import short
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
            if page := write_page_of(folder, write_sweep_page):
                print(f"page     {short(page)}")
