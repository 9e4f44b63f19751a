import numpy as np
import pytest
import torch
from torch.utils.data import Subset, TensorDataset
from torchvision.transforms import v2

from ktlight.data import arrays
from ktlight.data import dataset as dataset_module
from ktlight.data.arrays import TensorTable, from_torch
from ktlight.data.augment import Augment
from ktlight.data.datamodule import ImageDataModule
from ktlight.data.dataset import ImageDataset, content_fingerprint, numbered_classes
from ktlight.data.digits import load_digits
from ktlight.errors import UserError

from .conftest import random_pixels, random_table
from .test_datamodule import SETTINGS


def test_digits():
    digits = load_digits()
    assert (len(digits.train), len(digits.val), digits.num_classes, digits.native_size) == (360, 1437, 10, 32)
    assert np.bincount(digits.train.labels).min() >= 34
    everything = torch.cat([digits.train.images, digits.val.images])
    assert everything.dtype == torch.uint8 and everything.shape[1:] == (3, 32, 32)
    assert len(everything.unique(dim=0)) == 1797
    assert load_digits().identity == digits.identity


def test_identity_changes_with_images_and_labels():
    def identity(change_image=False, change_label=False, count=40):
        table = random_table(count)
        images, labels = table.images.clone(), table.labels.copy()
        images[7, 0, 0, 0] ^= int(change_image)
        labels[7] ^= int(change_label)
        return ImageDataset("any", TensorTable(images, labels), random_table(), numbered_classes(4)).identity

    assert identity() == identity()
    assert len({identity(), identity(change_image=True), identity(change_label=True), identity(count=39)}) == 4


def test_fingerprint_of_a_large_split_reads_a_part_and_all_sizes(monkeypatch):
    monkeypatch.setattr(dataset_module, "FINGERPRINT_BYTES", 100)
    reads = []
    labels, sizes = np.zeros(1000, np.int64), np.full(1000, 10)

    def fingerprint():
        return content_fingerprint(labels, sizes, lambda row: reads.append(row) or b"x" * 10)

    first = fingerprint()
    assert len(reads) == 10 and reads == sorted(reads)
    unread = next(row for row in range(1000) if row not in reads)
    sizes[unread] += 1
    assert fingerprint() != first


def test_label_out_of_range_names_the_row():
    table = random_table(10, classes=4)
    with pytest.raises(UserError, match=r"Row 3 of the training split of any has the label 3.*0 to 2 \(2 such rows\)"):
        ImageDataset("any", table, random_table(9, classes=3), numbered_classes(3))
    table.labels[5] = -1
    with pytest.raises(UserError, match="Row 5 of the validation split of any has the label -1"):
        ImageDataset("any", None, table, numbered_classes(4))


def test_empty_split():
    with pytest.raises(UserError, match="The training split of any is empty"):
        ImageDataset("any", random_table(0), random_table(), numbered_classes(4))


class Photos:
    """A torchvision-like data set: PIL-like samples, a transform and ``targets``."""

    def __init__(self, transform, targets=None):
        self.transform = transform
        self.reads = 0
        if targets is not None:
            self.targets = targets

    def __len__(self):
        return 12

    def __getitem__(self, row):
        self.reads += 1
        return self.transform(random_pixels(row)), row % 3


def torch_module(dataset, augment="pad_crop"):
    return ImageDataModule(dataset, **SETTINGS, augment=Augment(augment))


def test_torch_data_set_of_raw_images():
    dataset = from_torch(Photos(v2.ToImage()), Photos(v2.ToImage()))
    assert dataset.class_names == ("0", "1", "2") and dataset.native_size == 10
    batch = next(iter(torch_module(dataset).train_dataloader()))
    assert batch["image"].shape == (8, 3, 12, 12) and batch["image"].dtype == torch.uint8
    assert torch.equal(batch["label"], batch["index"] % 3)


def test_torch_data_set_of_floats_passes_through():
    images = torch.randn(12, 1, 5, 7)
    samples = TensorDataset(images, torch.arange(12) % 3)
    dataset = from_torch(samples, samples, class_names=("a", "b", "c"))
    batch = next(iter(torch_module(dataset, "none").train_dataloader()))
    assert torch.equal(batch["image"], images[batch["index"]])
    with pytest.raises(UserError, match="augmentation 'none'"):
        next(iter(torch_module(dataset, "pad_crop").train_dataloader()))


def test_torch_labels_are_read_without_the_images_where_they_are_known():
    known = Photos(v2.ToImage(), targets=[row % 3 for row in range(12)])
    dataset = from_torch(None, known)
    assert dataset.train is None and dataset.val.labels.tolist() == known.targets
    assert known.reads <= arrays.SAMPLED_ROWS


class Part(Photos):
    """Some samples of a data set, written by hand: it passes on the attributes of the whole."""

    def __init__(self, whole, rows):
        self.whole, self.rows = whole, rows

    def __getattr__(self, name):
        return getattr(self.whole, name)

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, row):
        return self.whole[self.rows[row]]


@pytest.mark.parametrize("rows", [[4, 1], list(range(11, -1, -1))])
def test_torch_targets_are_believed_only_if_the_samples_agree(rows):
    part = Part(Photos(v2.ToImage(), targets=[row % 3 for row in range(12)]), rows)
    assert from_torch(None, part).val.labels.tolist() == [row % 3 for row in rows]


def test_torch_tensors_are_the_same_every_time():
    images = torch.randint(0, 256, (12, 3, 12, 12), dtype=torch.uint8)
    tensors = TensorDataset(images, torch.arange(12) % 3)

    class Noisy(TensorDataset):
        pass

    repeatable = {kind: from_torch(None, kind).val.repeatable for kind in (tensors, Subset(tensors, [3, 1]))}
    assert all(repeatable.values())
    assert not any(from_torch(None, kind).val.repeatable for kind in (Noisy(*tensors.tensors), Photos(v2.ToImage())))


def test_torch_identity_is_the_same_in_every_run():
    to_image = v2.ToImage()

    def identity(*, transform=to_image, shift=0, identity=None):
        photos = Photos(lambda pixels: transform(pixels + np.uint8(shift)))
        return from_torch(None, photos, identity=identity).identity

    def noise(_):
        return torch.randint(0, 256, (3, 12, 12), dtype=torch.uint8)

    assert identity(transform=noise) == identity(transform=noise)
    assert identity() == identity() and len({identity(), identity(shift=1), identity(transform=noise)}) == 3
    assert identity(identity="photos 1") == identity(identity="photos 1", shift=1) != identity(identity="photos 2")


def test_tensors_are_told_apart_by_every_pixel():
    def identity(images):
        return from_torch(None, TensorDataset(images, torch.arange(40) % 3)).identity

    images = torch.zeros(40, 3, 4, 4, dtype=torch.uint8)
    others = {identity(images)}
    for row in range(40):
        changed = images.clone()
        changed[row, 0, 0, 0] = 1
        others.add(identity(changed))
    assert len(others) == 41


def test_random_transforms_of_a_torch_data_set_stay_random():
    noisy = Photos(lambda pixels: torch.randint(0, 256, (3, 12, 12), dtype=torch.uint8))
    loader = torch_module(from_torch(noisy, noisy), "none").train_dataloader()
    assert not torch.equal(next(iter(loader))["image"], next(iter(loader))["image"])


def test_torch_sample_that_is_no_image_tensor():
    photos = Photos(lambda pixels: pixels, targets=[0] * 12)
    with pytest.raises(UserError, match=r"Sample 0 of the data set.*but it is ndarray.*Add a transform"):
        next(iter(torch_module(from_torch(photos, photos)).val_dataloader()))
