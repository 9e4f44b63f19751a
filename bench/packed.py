"""Four small students that learn from one teacher's stored outputs: trained in a pack, and one after the other.

Only training is timed, by the same functions as in a run. What a pack shares is counted once beside it.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import torch

from bench.measure import arguments, finish, timed, warmed_up
from bench.setting import QUICK, SMALL, Model, Setting, classifier, configured, own_cache, random_images
from ktlight.data.device import DeviceReader
from ktlight.data.reader import BatchReader
from ktlight.report.folder import RunFolder
from ktlight.stages.pack import train_pack
from ktlight.stages.pause import Steps
from ktlight.stages.waiting import Waiting
from ktlight.store.source import StoredSource
from ktlight.tasks.transfer import transfer_steps
from ktlight.training.record import Run, errors_only

ALONE, PACKED = "one after the other", "in a pack"
STUDENTS = ("test_vit", "test_resnet", "test_efficientnet", "test_byobnet")
ON_A_GPU = 4.0
"""How much faster a pack is to be there."""


class Students:
    """The same students again and again, each about to learn.

    Args:
        setting: Teacher and sizes.
        batches: Of an epoch.
        epochs: Of a training.
        folder: For the runs' files.
    """

    def __init__(self, setting: Setting, batches: int, epochs: int, folder: Path) -> None:
        self.settings = [replace(setting, student=Model(name)) for name in STUDENTS]
        self.dataset = random_images(setting, setting.batch * batches, setting.batch)
        self.config = configured(setting, "method=kl_dp", f"trainer.max_epochs={epochs}")
        self.folder = folder
        self.teacher = classifier(setting.teacher, setting)
        self.students = [classifier(each.student, each) for each in self.settings]

    def waiting(self) -> tuple[list[Steps[object]], list[Waiting]]:
        """Return runs that have paused before their training, and what each is to train."""
        runs = [
            transfer_steps(
                self.config, self.dataset, copy.deepcopy(student), [copy.deepcopy(self.teacher)],
                Run(self.config, RunFolder(self.folder / str(number))),
            )
            for number, student in enumerate(self.students)
        ]  # fmt: skip
        return runs, [next(run) for run in runs]

    def variant(self, train: Callable[[list[Waiting]], None], counts: dict[str, int]) -> Callable[[], float]:
        """Return a variant that times the training alone, and counts what it reads."""

        def run() -> float:
            runs, waiting = self.waiting()
            with counted(counts):
                seconds = timed(lambda: train(waiting))()
            for each in runs:
                each.close()
            return seconds

        return run


def alone(waiting: list[Waiting]) -> None:
    for each in waiting:
        each.alone()


def packed(waiting: list[Waiting]) -> None:
    for outcome in train_pack([(each, nullcontext) for each in waiting]):
        outcome()


@contextmanager
def counted(counts: dict[str, int]) -> Iterator[None]:
    """Count the batches that are read and the stored sources that are asked meanwhile."""
    counts |= {"batches read": 0, "sources asked": 0}

    def counting(name: str, method: Callable[..., object]) -> Callable[..., object]:
        def call(*given: object) -> object:
            counts[name] += 1
            return method(*given)

        return call

    reads = {kind: counting("batches read", kind.__getitem__) for kind in (BatchReader, DeviceReader)}
    with (
        patch.object(BatchReader, "__getitem__", reads[BatchReader]),
        patch.object(DeviceReader, "__getitem__", reads[DeviceReader]),
        patch.object(StoredSource, "logits", counting("sources asked", StoredSource.logits)),
    ):
        yield


def main(given: list[str] | None = None) -> None:
    options = arguments(__doc__ or "", seconds=120).parse_args(given)
    setting, batches, epochs = (QUICK, 2, 1) if options.quick else (SMALL, 20, 2)
    with errors_only(), own_cache() as folder:  # that a random teacher guesses is known
        students = Students(setting, batches, epochs, folder)
        counts: dict[str, dict[str, int]] = {ALONE: {}, PACKED: {}}
        variants = {
            ALONE: students.variant(alone, counts[ALONE]),
            PACKED: students.variant(packed, counts[PACKED]),
        }
        times = warmed_up(variants, options)
    notes = {name: ", ".join(f"{count} {what}" for what, count in own.items()) for name, own in counts.items()}
    aim = ON_A_GPU if torch.cuda.is_available() else 1.0
    rows = [times.row(ALONE, PACKED, at_least=aim, note=notes[ALONE]), times.row(PACKED, note=notes[PACKED])]
    models = f"{setting.teacher.architecture} -> {', '.join(STUDENTS)}"
    finish(options, f"{models}; {epochs} epochs of {batches} batches of {setting.batch}, {setting.size} px", rows)


if __name__ == "__main__":
    main()
