"""The final table of a sweep, with all its transfers."""

import json
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

SHOWN = ("task", "method", "teacher", "teachers", "student", "data", "seed", "resume", "experiment")
"""Options that have their own column or change no result."""

_sweeps: list[Path] = []


class Comparison(Callback):
    """Hydra callback that notes where a sweep keeps its runs; `show_comparison` prints them when it is over."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Note the folder of the sweep. Hydra's hook for the end is not called when a job fails."""
        _sweeps.append(Path(config.hydra.sweep.dir).absolute())


def show_comparison() -> None:
    """Print the transfers of the sweep that has just ended, if there was one, and write them as ``comparison.csv``."""
    while _sweeps:
        folder = _sweeps.pop()
        finished = sorted(folder.glob("*/results.json"), key=lambda file: _job_number(file.parent))
        runs = [
            json.loads(file.read_text()) | {"options": _options(file.parent), "folder": str(file.parent)}
            for file in finished
        ]
        transfers = [run for run in runs if run["task"] == "transfer"]
        if transfers:
            from ktlight.report.comparison import print_comparison, write_comparison

            print_comparison(transfers, folder)
            write_comparison(transfers, folder / "comparison.csv")


def _options(job: Path) -> str:
    overrides = _hydra_record(job, "overrides.yaml")
    return " ".join(option for option in map(str, overrides) if option.partition("=")[0] not in SHOWN)


def _job_number(job: Path) -> int:
    return int(_hydra_record(job, "hydra.yaml").hydra.job.num)


def _hydra_record(job: Path, name: str) -> Any:
    return OmegaConf.load(job / ".hydra" / name)
