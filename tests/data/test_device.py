import pytest
import torch
from lightning.pytorch.utilities import CombinedLoader

from ktlight.data.augment import Augment
from ktlight.data.device import DeviceReader, fits_on_device
from ktlight.data.loader import batch_loader

from .test_datamodule import data_module

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


def assert_same_batches(first, second):
    for one, other in zip(first, second, strict=True):
        assert one.keys() == other.keys() and one["view"] == other["view"]
        for key in ("image", "label", "index"):
            assert torch.equal(one[key], other[key]) and one[key].dtype == other[key].dtype
        assert all(map(torch.equal, one.get("peer_images", []), other.get("peer_images", [])))


@pytest.mark.parametrize("networks", [1, 3])
@pytest.mark.parametrize("kind, flip", [("none", False), ("pad_crop", False), ("pad_crop", True)])
def test_batches_are_those_of_the_reader(kind, flip, networks):
    data = data_module(augment=Augment(kind, flip=flip), fraction=0.7, views_at_once=networks)
    loader = data.train_dataloader()
    loader.sampler.set_epoch(2)
    there = DeviceReader(loader.dataset, CPU)
    assert_same_batches(loader, batch_loader(there, loader.sampler, workers=None))
    plain = data.training_view(-1).batches()
    assert_same_batches(plain, batch_loader(there, plain.sampler, workers=None))


class OnDevice:
    """A trainer, as far as the data module asks it."""

    global_rank, world_size = 0, 1

    class strategy:  # noqa: N801
        root_device = CPU


def only(loader):
    """The loader of a single network, where there is one for each."""
    return loader.iterables[0] if isinstance(loader, CombinedLoader) else loader


def test_small_splits_go_where_the_trainer_computes(monkeypatch):
    monkeypatch.setattr("ktlight.data.datamodule.fits_on_device", lambda reader, device: device == CPU)
    data, expected = (
        data_module(workers=None, holdout=0.2, views_at_once=2),
        data_module(workers=None, holdout=0.2, views_at_once=2),
    )
    data.trainer = OnDevice()
    for name in ("train_dataloader", "val_dataloader", "holdout_dataloader"):
        loader, again, usual = (only(getattr(each, name)()) for each in (data, data, expected))
        assert isinstance(loader.dataset, DeviceReader) and loader.num_workers == 0 and not loader.pin_memory
        assert loader.dataset is again.dataset  # one copy, however often it is asked for
        assert_same_batches(loader, usual)
    assert not isinstance(data.training_view(0).batches().dataset, DeviceReader)  # the store may fill elsewhere
    monkeypatch.setattr(OnDevice.strategy, "root_device", torch.device("meta"))  # another trainer, elsewhere
    assert not isinstance(data.train_dataloader().dataset, DeviceReader)
    monkeypatch.setattr(OnDevice.strategy, "root_device", CPU)
    data.workers = 2
    assert not isinstance(data.train_dataloader().dataset, DeviceReader)


def test_at_most_a_tenth_of_the_free_memory(monkeypatch):
    needed = 40 * 3 * 12 * 12
    reader = data_module().train_dataloader().dataset
    for free, fits in [(10 * needed, True), (10 * needed - 10, False)]:
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, 2 * free))
        assert fits_on_device(reader, CUDA) is fits
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2**40, 2**40))
    assert not fits_on_device(reader, CPU)
    assert not fits_on_device(data_module(augment=Augment("resized_crop")).train_dataloader().dataset, CUDA)
