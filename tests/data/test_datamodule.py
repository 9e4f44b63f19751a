import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import nn

from ktlight.data import datamodule
from ktlight.data.arrays import TensorTable
from ktlight.data.augment import Augment
from ktlight.data.datamodule import ImageDataModule
from ktlight.data.dataset import ImageDataset, numbered_classes
from ktlight.data.decoding import PIXELS
from ktlight.errors import UserError
from ktlight.functional.geometry import Framing

from .conftest import random_table

SETTINGS = dict(canvas=12, fraction=1.0, views=None, batch_size=8, eval_batch_size=16, workers=0, seed=0)


def data_module(train=None, views_at_once=1, framings=(None,), **settings) -> ImageDataModule:
    dataset = ImageDataset("random", train or random_table(40), random_table(21), numbered_classes(4))
    data = ImageDataModule(dataset, **{**SETTINGS, "augment": Augment("pad_crop", flip=True), **settings})
    return data.seen_by(framings, views_at_once)


def plain(loader, network: int = 0) -> list[dict]:
    """The batches of one network, of a loader that has one for each."""
    return [batches[network] for batches, _, _ in loader]


def epoch_of(loader, epoch: int) -> dict[int, torch.Tensor]:
    """The image of every row, in one epoch."""
    loader.sampler.set_epoch(epoch)
    return {int(i): image for batch in loader for i, image in zip(batch["index"], batch["image"], strict=True)}


def same(first: dict[int, torch.Tensor], second: dict[int, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[row], second[row]) for row in first)


def test_batch():
    data = data_module(batch_size=16)
    batches = list(data.train_dataloader())
    assert [len(batch["image"]) for batch in batches] == [16, 16, 8]
    assert data.steps_per_epoch(1) == 3 and data.num_train == 40 and data.num_eval == 21
    batch = batches[0]
    assert batch["image"].dtype == torch.uint8 and batch["image"].shape == (16, 3, 12, 12)
    assert batch["label"].dtype == batch["index"].dtype == torch.int64
    assert torch.equal(batch["label"], batch["index"] % 4)
    assert batch["view"] == 0


def test_validation_is_the_plain_images_in_order():
    data = data_module()
    for loader in (data.val_dataloader(), data.test_dataloader()):
        batches = plain(loader)
        assert torch.equal(torch.cat([batch["image"] for batch in batches]), data.dataset.val.images)
        assert torch.equal(torch.cat([batch["index"] for batch in batches]), torch.arange(21))
        assert {batch["view"] for batch in batches} == {-1}


@pytest.mark.parametrize("kind", ["none", "pad_crop", "resized_crop"])
def test_pixels_do_not_depend_on_workers_memory_or_batch_size(kind, monkeypatch):
    augment = Augment(kind, flip=True)
    expected = epoch_of(data_module(augment=augment).train_dataloader(), 3)
    assert same(expected, epoch_of(data_module(augment=augment, batch_size=7).train_dataloader(), 3))
    monkeypatch.setattr(datamodule, "MEMORY_BUDGET", 0)
    assert same(expected, epoch_of(data_module(augment=augment, workers=2).train_dataloader(), 3))


def test_workers_follow_the_memory(monkeypatch):
    assert data_module(workers=None).train_dataloader().num_workers == 0
    monkeypatch.setattr(datamodule, "MEMORY_BUDGET", 0)
    assert 1 <= data_module(workers=None).train_dataloader().num_workers <= 8


def test_views_come_back_and_fresh_ones_do_not():
    two = data_module(views=2).train_dataloader()
    assert same(epoch_of(two, 0), epoch_of(two, 2)) and not same(epoch_of(two, 0), epoch_of(two, 1))
    fresh = data_module().train_dataloader()
    assert same(epoch_of(two, 1), epoch_of(fresh, 1)) and not same(epoch_of(two, 2), epoch_of(fresh, 2))
    assert not same(epoch_of(fresh, 0), epoch_of(data_module(seed=1).train_dataloader(), 0))


@pytest.mark.parametrize("kind", ["pad_crop", "resized_crop"])
def test_every_network_may_have_its_own_view(kind, monkeypatch):
    augment = Augment(kind, flip=True)
    one = epoch_of(data_module(augment=augment).train_dataloader(), 1)
    three = data_module(augment=augment, views_at_once=3)
    loader = three.train_dataloader()
    assert same(one, epoch_of(loader, 1))
    loader.sampler.set_epoch(1)
    batch = next(iter(loader))
    views = [batch["image"], *batch["peer_images"]]
    assert len(views) == 3 and all(view.shape == batch["image"].shape for view in views)
    assert not any(torch.equal(views[first], views[second]) for first, second in [(0, 1), (0, 2), (1, 2)])
    monkeypatch.setattr(datamodule, "MEMORY_BUDGET", 0)  # the same again, from other processes, whatever the batch
    peers = data_module(augment=augment, views_at_once=2, workers=1, batch_size=40).train_dataloader()
    peers.sampler.set_epoch(1)
    whole = next(iter(peers))
    places = [whole["index"].tolist().index(row) for row in batch["index"].tolist()]
    assert torch.equal(whole["peer_images"][0][places], batch["peer_images"][0])


def test_only_training_batches_carry_the_views_of_peers():
    data = data_module(views_at_once=2, holdout=0.25)
    loaders = [plain(data.val_dataloader()), plain(data.holdout_dataloader()), data.training_view(0).batches()]
    assert all("peer_images" not in batch for loader in loaders for batch in loader)
    batch = next(iter(data_module(views_at_once=2, augment=Augment("none")).train_dataloader()))
    assert torch.equal(batch["peer_images"][0], batch["image"])


def test_all_of_a_batch_but_its_index_moves():
    batch = next(iter(data_module(views_at_once=2).train_dataloader()))
    moved = data_module().transfer_batch_to_device(batch, torch.device("meta"), 0)
    assert moved["image"].is_meta and moved["label"].is_meta and moved["peer_images"][0].is_meta
    assert moved["index"] is batch["index"]


def test_stored_views_are_told_apart_by_how_their_pixels_are_made():
    augments = {kind: Augment(kind) for kind in ("pad_crop", "resized_crop")}
    transforms = {kind: data_module(augment=augments[kind]).training_view(0).transform for kind in augments}
    assert transforms["pad_crop"] == f"pixels={PIXELS} canvas=12 seed=0 {augments['pad_crop']}"
    assert transforms["resized_crop"] == f"pixels={PIXELS} canvas=12 seed=0 {augments['resized_crop']} bilinear"


def test_without_augmentation_there_is_one_view():
    loader = data_module(augment=Augment("none")).train_dataloader()
    loader.sampler.set_epoch(5)
    assert {batch["view"] for batch in loader} == {0}


def test_rows_keep_their_numbers_and_pixels_in_a_fraction():
    whole, part = data_module().train_dataloader(), data_module(fraction=0.3).train_dataloader()
    whole_images, part_images = epoch_of(whole, 0), epoch_of(part, 0)
    assert len(part_images) == 12
    assert all(torch.equal(image, whole_images[row]) for row, image in part_images.items())


def test_holdout_is_apart_and_plain():
    data = data_module(holdout=0.25)
    held_out = torch.cat([batch["index"] for batch in plain(data.holdout_dataloader())]).tolist()
    assert len(held_out) == 10 and data.num_train == 30
    assert set(held_out) | set(epoch_of(data.train_dataloader(), 0)) == set(range(40))
    batch = plain(data.holdout_dataloader())[0]
    assert batch["view"] == -1 and torch.equal(batch["image"], data.dataset.train.images[batch["index"]])


def test_loaders_leave_the_global_random_state_alone():
    state = torch.get_rng_state()
    list(data_module().train_dataloader())
    assert torch.equal(torch.get_rng_state(), state)


class Recorder(LightningModule):
    """Notes the view and rows of every training step."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(1, 1)
        self.seen: list[tuple[int, list[int]]] = []

    def training_step(self, batch, _):
        self.seen.append((batch["view"], batch["index"].tolist()))
        return self.head(batch["image"].float().mean().view(1, 1)).sum()

    def validation_step(self, batches, _):
        assert [batch["view"] for batch in batches] == [-1]

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 1e-3)


def fit(tmp_path, epochs, workers, checkpoint=None):
    model = Recorder()
    trainer = Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, use_distributed_sampler=False, default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(model, datamodule=data_module(workers=workers, batch_size=20), ckpt_path=checkpoint)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    return model.seen


@pytest.mark.parametrize("workers", [0, 1])
def test_lightning_sets_the_epoch_also_after_resuming(tmp_path, workers):
    undisturbed = fit(tmp_path, 4, workers)
    assert [view for view, _ in undisturbed] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert len({tuple(rows) for _, rows in undisturbed}) == 8
    begun = fit(tmp_path, 2, workers)
    assert begun + fit(tmp_path, 4, workers, tmp_path / "last.ckpt") == undisturbed


def test_ranks_come_from_the_trainer():
    data = data_module()

    class TwoProcesses:
        global_rank, world_size = 1, 2

        class strategy:  # noqa: N801
            root_device = torch.device("cpu")

    data.trainer = TwoProcesses()
    assert len(data.train_dataloader()) == data.steps_per_epoch(2) == 3
    single = data_module(batch_size=16).train_dataloader()
    for part, whole in zip(data.train_dataloader(), single, strict=True):
        half = len(whole["index"]) // 2
        assert torch.equal(part["index"], whole["index"][half:]) and torch.equal(part["image"], whole["image"][half:])
    assert sum(len(batch["index"]) for batch in plain(data.val_dataloader())) == 10


@pytest.mark.parametrize("workers", [0, 2])
def test_corrupt_image_raises_one_clear_message_from_any_process(workers):
    class Corrupt(TensorTable):
        repeatable = False

        def image(self, row):
            if row == 3:
                raise UserError("Cannot decode row 3.")
            return super().image(row)

    table = random_table(40)
    data = data_module(Corrupt(table.images, table.labels), workers=workers)
    with pytest.raises(UserError, match=r"^Cannot decode row 3\.$"):
        list(data.train_dataloader())


def test_nothing_to_train_on_or_to_hold_out():
    data = ImageDataModule(
        ImageDataset("random", None, random_table(), numbered_classes(4)), **SETTINGS, augment=Augment("none")
    )
    assert data.num_train == 0 and len(plain(data.val_dataloader())) == 3
    with pytest.raises(UserError, match=r"no training split here: give data\.train="):
        data.train_dataloader()
    with pytest.raises(UserError, match=r"set data\.holdout"):
        data_module().holdout_dataloader()


def test_large_images_are_brought_to_the_canvas():
    batch = next(iter(data_module(random_table(40, size=20), augment=Augment("none")).train_dataloader()))
    assert batch["image"].shape[-2:] == (12, 12)
    assert np.isfinite(batch["image"].float().mean())


def test_each_network_gets_plain_images_in_its_own_framing_and_all_the_same_rows():
    framings = [Framing((8, 8), 0.875), None, Framing((16, 12), 1.0, "squash", "bilinear")]
    data = data_module(random_table(40, size=20), framings=framings, holdout=0.25)
    batches = [batches for batches, _, _ in data.holdout_dataloader()]
    assert {tuple(batch["image"].shape[-2:]) for batch, *_ in batches} == {(8, 8)}
    for row_of_batches in batches:
        for framing, batch in zip(framings, row_of_batches, strict=True):
            assert torch.equal(batch["index"], row_of_batches[0]["index"])
            expected = [(framing or Framing((12, 12)))(data.dataset.train.images[row]) for row in batch["index"]]
            assert torch.equal(batch["image"], torch.stack(expected))


def test_a_model_sees_the_same_plain_images_whoever_else_is_in_the_run():
    framing = Framing((8, 8), 0.875)
    alone = plain(data_module(framings=[framing]).val_dataloader())
    together = plain(data_module(framings=[Framing((32, 32)), framing], canvas=24).val_dataloader(), network=1)
    assert all(torch.equal(a["image"], b["image"]) for a, b in zip(alone, together, strict=True))


def test_views_of_the_same_data_share_what_is_in_memory():
    data = data_module(framings=[None])
    seen = data.seen_by([None, Framing((8, 8))], 2)
    assert seen.test_images(None).reader is data.test_images(None).reader
    assert seen.training_view(0).reader is data.training_view(0).reader


def test_plain_images_share_one_budget_of_memory(monkeypatch):
    bytes_of = {size: 21 * 3 * size**2 for size in (8, 10)}
    monkeypatch.setattr(datamodule, "MEMORY_BUDGET", sum(bytes_of.values()) - 1)
    data = data_module()
    kept = [data.test_images(Framing((size, size))).reader.kept is not None for size in (8, 10)]
    assert kept == [True, False]
    (batch,) = list(data.test_images(Framing((10, 10))).batches())[:1]
    assert torch.equal(batch["image"][0], Framing((10, 10))(data.dataset.val.images[0]))


def test_a_row_that_is_not_kept_never_gives_the_pixels_of_another():
    reader = data_module(fraction=0.5).training_view(0).reader
    (missing, *_), kept = np.setdiff1d(np.arange(40), reader.rows), reader.rows[:1]
    assert reader.kept is not None and len(reader[-1, kept]["image"]) == 1
    with pytest.raises(IndexError):
        reader[-1, np.array([missing])]
