"""What is stored, what is refused with the reason, and what a mode allows."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny
import torch
from filelock import FileLock
from omegaconf import DictConfig
from torch import Tensor, nn
from torch.nn.functional import batch_norm, dropout

from ktlight.answers.stored import OutputStore
from ktlight.data.arrays import from_torch
from ktlight.data.augment import Augment
from ktlight.data.datamodule import ImageDataModule
from ktlight.data.dataset import ImageDataset
from ktlight.errors import UserError
from ktlight.models.sources import LiveSource
from ktlight.store.entry import checked
from ktlight.store.source import StoredSource
from ktlight.types import LogitSource


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    checked.clear()
    monkeypatch.setenv("KTLIGHT_CACHE", str(tmp_path))
    return tmp_path / "store"


def config(*overrides: str) -> DictConfig:
    return tiny.config(*overrides)


def data(dataset: ImageDataset | None = None, views: int | None = 2) -> ImageDataModule:
    return ImageDataModule(
        dataset or tiny.dataset(), canvas=tiny.SIZE, augment=Augment("none" if dataset else "pad_crop", 0.25),
        fraction=0.75, views=views, batch_size=8, eval_batch_size=7, workers=0, seed=0,
    )  # fmt: skip


def sources(live: LiveSource, *overrides: str, images: ImageDataModule | None = None) -> LogitSource:
    (source,) = OutputStore(config(*overrides)).sources([live], images or data(), epochs=5)
    return source


def live(*middle: nn.Module) -> LiveSource:
    return LiveSource("teacher", tiny.classifier(0, *middle).frozen_copy())


def test_stored_answers_are_the_live_ones(folder: Path) -> None:
    teacher, images = live(nn.ReLU()), data()
    for _ in range(2):  # written, then read
        stored = sources(teacher)
        assert isinstance(stored, StoredSource) and stored.name == "teacher"
        for epoch in range(5):
            loader = images.train_dataloader()
            loader.sampler.set_epoch(epoch)
            for batch in loader:
                assert torch.equal(stored.logits(batch), teacher.logits(batch))
    assert len(list(folder.iterdir())) == 2


def test_readonly_needs_every_entry(folder: Path) -> None:
    with pytest.raises(UserError, match=r"store=readonly, but the outputs of tiny0 .* task=store .* store=auto"):
        sources(live(), "store=readonly")
    assert not folder.exists()
    sources(live())
    assert isinstance(sources(live(), "store=readonly"), StoredSource)
    entry = next(folder.iterdir())
    os.truncate(entry / "logits.bin", 5)
    with pytest.raises(UserError, match=rf"{entry}.* has 5 bytes instead of .*store=auto it is computed anew"):
        sources(live(), "store=readonly")
    assert (entry / "logits.bin").stat().st_size == 5


@pytest.mark.parametrize("name", ["logits.bin", "entry.json"])
def test_auto_mends_what_is_damaged(folder: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    sources(live())
    sound = {file: file.read_bytes() for file in folder.rglob("*.*") if file.is_file()}
    file = next(iter(folder.iterdir())) / name
    file.write_bytes(file.read_bytes()[::-1])
    with caplog.at_level(logging.WARNING, "ktlight"):
        sources(live())
    assert len(caplog.records) == 1
    assert str(file.parent) in caplog.text and "it is computed anew" in caplog.text
    assert {file: file.read_bytes() for file in folder.rglob("*.*") if file.is_file()} == sound


def test_off_leaves_no_trace(folder: Path) -> None:
    teacher = live()
    assert sources(teacher, "store=off") is teacher and not folder.exists()


class AlwaysDropout(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return dropout(image, 0.1, training=True)


class BatchStatistics(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return batch_norm(image, None, None, training=True)


def in_training_mode() -> LiveSource:
    teacher = live(nn.Dropout())
    teacher.classifier.network[1].train()
    return teacher


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: live(AlwaysDropout()), "answers the same images differently"),
        (lambda: live(BatchStatistics()), "answers the same images differently"),
        (in_training_mode, "it is in training mode"),
    ],
)
def test_what_is_no_function_of_the_sample_is_not_stored(
    folder: Path, make: Callable[[], LiveSource], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    teacher = make()
    with caplog.at_level(logging.INFO, "ktlight"):
        assert sources(teacher) is teacher
    assert reason in caplog.text and "Computed live" in caplog.text
    assert not list(folder.glob("*"))


class RandomImages:
    targets = [0, 1, 2, 3] * 6

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return torch.rand(3, tiny.SIZE, tiny.SIZE), self.targets[row]


def test_random_transforms_are_never_stored(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    images = data(from_torch(RandomImages(), RandomImages()))
    teacher = live()
    cache = OutputStore(config())
    with caplog.at_level(logging.INFO, "ktlight"):
        assert cache.sources([teacher], images, 5) == [teacher]
        assert cache.outputs(teacher.classifier, [images.test_images(None)]) is None
    assert caplog.text.count("the data's own transforms may be random") == 1  # said once
    with pytest.raises(UserError, match=r"may be random\. store=auto computes live"):
        sources(teacher, "store=readonly", images=images)
    assert not folder.exists()


@pytest.fixture
def read_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No lock can be made below the folder."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(FileLock, "acquire", refuse)


def test_without_room_auto_runs_live_and_fill_says_so(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    teacher, little = live(), "store.max_gb=1e-7"
    with caplog.at_level(logging.INFO, "ktlight"):
        assert sources(teacher, little) is teacher
    assert len(caplog.records) == 1 and "Computed live: the outputs to store for this run take" in caplog.text
    with pytest.raises(UserError, match=r"outputs to store for this run take .* GB, more than store.max_gb=1e-07"):
        sources(teacher, little, "store=fill")
    assert not folder.exists()


@pytest.mark.usefixtures("read_only")
def test_a_read_only_home(caplog: pytest.LogCaptureFixture) -> None:
    teacher = live()
    with caplog.at_level(logging.INFO, "ktlight"):
        assert sources(teacher) is teacher
    assert "Computed live: outputs cannot be stored in" in caplog.text and "Permission denied" in caplog.text
    with pytest.raises(UserError, match=r"cannot be stored in .*Permission denied"):
        sources(teacher, "store=fill")


def test_fresh_views_are_stored_on_demand_only(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    teacher, images = live(), data(views=None)
    with caplog.at_level(logging.INFO, "ktlight"):
        assert sources(teacher, images=images) is teacher
    assert len(caplog.records) == 1 and "each epoch draws fresh views (store=fill" in caplog.text
    assert not folder.exists()
    assert isinstance(sources(teacher, "store=fill", images=images), StoredSource)
    assert isinstance(sources(teacher, images=images), StoredSource)  # they are there: so they are read
    assert len(list(folder.iterdir())) == 5


def test_compressed_outputs(folder: Path) -> None:
    teacher, images = live(nn.ReLU()), data()
    full = sources(teacher)
    same = sources(teacher, f"store.top_k={tiny.CLASSES}")  # would take no less room
    assert len(list(folder.iterdir())) == 2
    batch = next(iter(images.train_dataloader()))
    assert torch.equal(full.logits(batch), same.logits(batch))

    torch.manual_seed(0)
    teacher.classifier.network[-1] = nn.Linear(3 * tiny.SIZE**2, 30).eval().requires_grad_(False)
    teacher.classifier.num_classes = 30
    packed, exact = sources(teacher, "store.top_k=3").logits(batch), teacher.logits(batch)
    assert packed.shape == exact.shape and len(list(folder.iterdir())) == 4
    torch.testing.assert_close(packed.logsumexp(1), exact.logsumexp(1))
    assert torch.equal(packed.topk(3).values, exact.topk(3).values)
    label = batch["label"][:, None]
    assert torch.equal(packed.gather(1, label), exact.gather(1, label))
    (test_images,) = OutputStore(config("store.top_k=3")).outputs(teacher.classifier, [images.test_images(None)])
    assert test_images.shape == (20, 30)  # what is measured on is always kept whole
