"""Whole runs: task=transfer method=kl against timm's training loop with logit distillation, epoch by epoch."""

import copy
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from PIL import Image
from timm.data import create_loader
from timm.utils import AverageMeter, CheckpointSaver, accuracy
from torch import Tensor
from torch.utils.data import Dataset

from bench.loops import timm_task
from bench.measure import LEAST_ROUNDS, arguments, finish, take_turns, timed
from bench.setting import QUICK, SMALL, Setting, classifier, configured, own_cache, random_images
from ktlight.data.dataset import ImageDataset, ImageTable
from ktlight.models.classifier import Classifier
from ktlight.models.preprocess import Preprocess
from ktlight.report.folder import RunFolder
from ktlight.tasks.transfer import transfer
from ktlight.training.assemble import data_module
from ktlight.training.record import Run

OURS = "task=transfer method=kl, from the store"
TIMM, TIMM_LOOP = "timm's loop and loader", "timm's loop on our batches"
WORKERS = 2
EPOCHS = 4

Batches = Iterable[tuple[Tensor, Tensor]]


class Pictures(Dataset[tuple[Tensor, int]]):
    """A split for timm's loader, which sets the transform."""

    def __init__(self, table: ImageTable) -> None:
        self.pictures = [Image.fromarray(table.image(row).permute(1, 2, 0).numpy()) for row in range(len(table))]
        self.labels = table.labels
        self.transform: Callable[[Image.Image], Tensor] | None = None

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        assert self.transform is not None
        return self.transform(self.pictures[row]), int(self.labels[row])


class Runs:
    """The variants on the same models, images and batch size.

    Args:
        setting: Models, sizes.
        dataset: The images.
        folder: For the runs' files.
    """

    def __init__(self, setting: Setting, dataset: ImageDataset, folder: Path) -> None:
        self.setting = setting
        self.dataset = dataset
        self.folder = folder
        self.student, self.teacher = (classifier(model, setting) for model in (setting.student, setting.teacher))

    def ours(self) -> Callable[[], float]:
        """Return a whole transfer, including evaluation before and after, checkpoints and export."""
        config = configured(self.setting, "method=kl", f"trainer.max_epochs={EPOCHS}")

        def run() -> None:
            student, teacher = copy.deepcopy(self.student), copy.deepcopy(self.teacher)
            transfer(config, self.dataset, student, [teacher], Run(config, RunFolder(self.folder / "ours")))

        return timed(run)

    def timm_loaders(self) -> tuple[Batches, Batches]:
        """Return timm's loaders of training and test images: random crops and flips, normalised."""
        preprocess = self.student.preprocess
        assert isinstance(preprocess, Preprocess) and self.dataset.train is not None
        common = {
            "input_size": (3, *preprocess.framing.size), "batch_size": self.setting.batch, "mean": preprocess.mean,
            "std": preprocess.std, "num_workers": WORKERS, "device": torch.device("cpu"), "color_jitter": 0.0,
        }  # fmt: skip
        train = create_loader(Pictures(self.dataset.train), is_training=True, scale=(0.5, 1.0), **common)
        return train, create_loader(Pictures(self.dataset.val), crop_pct=1.0, **common)

    def our_loaders(self) -> tuple[Batches, Batches]:
        """Return our own loaders of the same images in pairs, normalised."""
        data = data_module(configured(self.setting), self.dataset)
        return Pairs(data.train_dataloader(), self.student), Pairs(
            data.test_images(self.student.framing).batches(), self.student
        )

    def timm(self, train: Batches, val: Batches) -> Callable[[], float]:
        """Return a whole run of timm's loop: the epochs, a checkpoint each, evaluation at the end."""

        def run() -> None:
            student = copy.deepcopy(self.student).network
            task, optimizer = timm_task(student, copy.deepcopy(self.teacher).network)
            folder = self.folder / "timm"
            folder.mkdir(exist_ok=True)
            saver = CheckpointSaver(student, optimizer, checkpoint_dir=str(folder), max_history=1)
            for epoch in range(EPOCHS):
                losses = AverageMeter()
                for images, labels in train:
                    result = task(images, labels)
                    result["loss"].backward()
                    optimizer.step()
                    optimizer.zero_grad()
                losses.update(result["loss"].item(), len(labels))
                saver.save_checkpoint(epoch, metric=-losses.avg)
            _validate(student, val)

        return timed(run)


class Pairs:
    """Our batches in the form that timm's loop expects."""

    def __init__(self, loader: Iterable[dict[str, Tensor]], student: Classifier) -> None:
        self.loader = loader
        self.preprocess = student.preprocess

    def __iter__(self):
        for batch in self.loader:
            yield self.preprocess(batch["image"]), batch["label"]


@torch.no_grad()
def _validate(student: torch.nn.Module, val: Batches) -> float:
    student.eval()
    right = AverageMeter()
    for images, labels in val:
        right.update(accuracy(student(images), labels)[0].item(), len(labels))
    return float(right.avg)


def main(given: list[str] | None = None) -> None:
    parser = arguments(__doc__ or "", seconds=0)
    options = parser.parse_args(given)
    setting, batches = (QUICK, 2) if options.quick else (SMALL, 16)
    dataset = random_images(setting, setting.batch * batches, setting.batch * 2)
    with own_cache() as folder:
        runs = Runs(setting, dataset, folder)
        variants = {OURS: runs.ours(), TIMM_LOOP: runs.timm(*runs.our_loaders())}
        if not options.quick:
            variants |= {TIMM: runs.timm(*runs.timm_loaders())}
        runs.ours()()  # one-time costs of the process; also fills the store
        times = take_turns(variants, options.seconds, least=1 if options.quick else LEAST_ROUNDS)
    rows = [
        times.row(OURS),
        times.row(TIMM_LOOP, OURS, at_least=1.3),
        *([times.row(TIMM, OURS, at_least=1.3)] if TIMM in variants else []),
    ]
    finish(options, f"a whole run of {EPOCHS} epochs of {batches} batches: {setting}", rows)


if __name__ == "__main__":
    main()
