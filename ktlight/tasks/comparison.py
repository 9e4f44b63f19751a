"""What a sweep ends with: all its transfers in one table."""

import json
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig


class Comparison(Callback):
    """Hydra callback that prints the results of all jobs under the folder of the sweep."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print the table, and write it as ``comparison.csv``."""
        from ktlight.report.table import print_comparison

        folder = Path(config.hydra.sweep.dir).absolute()
        runs = [json.loads(file.read_text()) for file in sorted(folder.glob("*/results.json"))]
        transfers = [run for run in runs if run["task"] == "transfer"]
        if transfers:
            print_comparison(transfers, folder)
