"""The folder of a run: everything needed to understand it, check it, continue it and use its student."""

import json
import platform
import shutil
import sys
from collections.abc import Mapping
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktlight.errors import Refused
from ktlight.report.failure import FAILURE
from ktlight.report.files import write_atomically, write_text
from ktlight.report.owned import files_of_a_run
from ktlight.report.secrets import redacted_command

if TYPE_CHECKING:
    from torch import Tensor

PACKAGES = ("ktlight", "torch", "torchvision", "lightning", "timm", "torchmetrics", "hydra-core", "datasets")

JUST_BEGUN = {"config.yaml", "environment.json", "curves.csv", FAILURE}
PAGE = "report.html"
"""Made of the other files once the results are there."""
TELLING = ("seconds", "versions", "models")
"""Fields of the results that tell of how they came about; `models` says from where."""


class RunFolder:
    """Names the files of a run and writes them whole.

    ====================== ==================================================================
    config.yaml            the resolved config
    environment.json       versions, machine, command
    results.json           the figures, in percent; there when the run is finished
    failure.json           why the run failed, until it is repeated
    predictions.parquet    index, label, every model's prediction and confidence, a row a test sample
    report.html            what came of it, to look at; of a report, with figures/ and tables/
    curves.csv             losses, shares and accuracies, a row an epoch
    guard.parquet          with a guard: what every point of the way says of the held-out training images
    discovery.json         of a discovery, with models, pairs, classes, expertise, examples and images.parquet: see
                           `ktlight.report.discovery`
    student/               the model, as ``timm.create_model("local-dir:...")`` loads it; also teacher/ if it learned
    stages/1-teacher2/     curves and checkpoint of each stage of a schedule
    pretrain-student/      the run of a model that was trained on the spot
    checkpoints/last.ckpt  state after an epoch, for ``resume=true``, until the run is finished
    tensorboard/, wandb/   what those loggers write; wandb_id.txt: by which name W&B knows the run
    previous-N/            what an earlier run had left in the same folder
    .hydra/, run.log       Hydra's record of the command; what was said, with the time
    .lock                  held while a process runs here
    ====================== ==================================================================
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.results_file = self.path / "results.json"
        self.checkpoint = self.path / "checkpoints" / "last.ckpt"
        self.config_file = self.path / "config.yaml"
        self.aside: Path | None = None
        self._begun = False

    @property
    def results(self) -> dict[str, Any] | None:
        """The results of a finished run, else None."""
        return json.loads(self.results_file.read_text()) if self.results_file.exists() else None

    @property
    def checkpoints(self) -> list[Path]:
        """The checkpoints of the run, its stages and the models that it trains first, as far as there are any."""
        parts = (self.path.glob(f"{part}/checkpoints/last.ckpt") for part in ("stages/*", "pretrain-*"))
        return [file for file in (self.checkpoint, *chain(*parts)) if file.exists()]

    def epochs_kept(self) -> dict[str, int]:
        """Return how many whole epochs each part of an unfinished run can be continued from; "." is the run itself."""
        import torch

        return {
            str(file.parent.parent.relative_to(self.path)): torch.load(file, mmap=True, weights_only=True)["epoch"] + 1
            for file in self.checkpoints
        }

    def kept(self) -> str:
        """Return the same in words."""
        parts = self.epochs_kept().items()
        return ", ".join(
            f"{epochs} whole epoch{'s' * (epochs != 1)}{f' of {part}' * (part != '.')}" for part, epochs in parts
        )

    def stage(self, number: int, teacher: str) -> "RunFolder":
        """Return the folder of a stage of a schedule, with its own curves and checkpoint."""
        return RunFolder(self.path / "stages" / f"{number}-{teacher}")

    def set_aside(self) -> Path | None:
        """Move what an earlier run left here into ``previous-N``, once, and return that folder; None if nothing was.

        Of a run that ended before it had computed anything, nothing is kept.
        """
        earlier = [] if self._begun else files_of_a_run(self.path)
        self._begun = True
        names = {path.name for path in earlier}
        if names == {FAILURE} or {"config.yaml", "environment.json"} <= names <= JUST_BEGUN:
            for path in earlier:
                path.unlink()
        elif earlier:
            numbers = [int(path.name.partition("-")[2]) for path in self.path.glob("previous-*")]
            self.aside = self.path / f"previous-{1 + max(numbers, default=0)}"
            self.aside.mkdir()
            for path in earlier:
                path.rename(self.aside / path.name)
        return self.aside

    def drop_duplicate(self) -> bool:
        """Delete what was set aside if this run has come to the same, file by file and figure by figure.

        The records of models that the earlier run trained on the spot stay, in this run's folder.

        Returns:
            Whether it was the same.
        """
        if self.aside is None:
            return False
        earlier = RunFolder(self.aside)
        trained = list(earlier.path.glob("pretrain-*"))  # by now the zoo has these models
        same = (
            {path.name for path in earlier.path.iterdir() if path not in trained} - {PAGE}
            <= {path.name for path in self.path.iterdir()}
            and earlier.config_file.exists()
            and earlier.config_file.read_text() == self.config_file.read_text()
            and _figures(earlier.results) == _figures(self.results)
        )
        if same:
            for path in trained:
                path.rename(self.path / path.name)
            shutil.rmtree(self.aside)
            self.aside = None
        return same

    def write_config(self, text: str) -> None:
        """Write the resolved config; a run that is resumed must have the config it was started with.

        Raises:
            Refused: The folder holds an unfinished run of another config.
        """
        if self.config_file.exists() and self.checkpoints:
            self.check_config(text)
        write_text(self.config_file, text)

    def check_config(self, text: str) -> None:
        """Raise `Refused` unless the config of the run here starts with ``text``."""
        old = self.config_file.read_text()
        if not old.startswith(text):
            changed = sorted(set(text.splitlines()) ^ set(old.splitlines()))
            raise Refused(
                f"{self.path} holds a run with another config, so it cannot be resumed with this one. They differ in "
                f"{'; '.join(line.strip() for line in changed[:6])}. Give the same options, or resume=false."
            )

    def write_environment(self) -> None:
        """Write what the figures may depend on besides the config."""
        import torch

        gpus = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
        facts = {
            "command": redacted_command(sys.argv),
            "python": platform.python_version(),
            "platform": platform.platform(),
            "processor": torch.backends.cpu.get_cpu_capability(),
            "threads": torch.get_num_threads(),
            "gpus": gpus,
            "packages": {name: version(name) for name in PACKAGES},
        }
        write_text(self.path / "environment.json", json.dumps(facts, indent=2))

    def write_predictions(self, columns: Mapping[str, "Tensor"], name: str = "predictions") -> None:
        """Write the columns ``[n]`` as a parquet file."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.table({name: column.cpu().numpy() for name, column in columns.items()})
        write_atomically(self.path / f"{name}.parquet", lambda file: pq.write_table(table, file))

    def write_results(self, results: Mapping[str, Any]) -> None:
        """Write the figures; their presence says that the run is finished, so its checkpoint and failures go."""
        write_text(self.results_file, json.dumps(results, indent=2, allow_nan=False) + "\n")
        (self.path / FAILURE).unlink(missing_ok=True)
        for checkpoint in self.checkpoints:
            shutil.rmtree(checkpoint.parent, ignore_errors=True)


def _figures(results: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return the results without what may differ between two runs of the same computation."""
    return results and {name: value for name, value in results.items() if name not in TELLING}
