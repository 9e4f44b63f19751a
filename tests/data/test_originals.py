import numpy as np
import pytest
import torch

from ktlight.data import datamodule, originals
from ktlight.data.augment import Augment
from ktlight.data.originals import OriginalsInMemory, keep_originals
from ktlight.data.parquet import read_parquet
from ktlight.errors import UserError

from .conftest import encode, random_pixels, random_table
from .test_datamodule import data_module, epoch_of, same

SIZES = [(10 + row, 25 - row) for row in range(12)]


@pytest.fixture
def jpegs(parquet_file):
    images = [encode(random_pixels(row, *size), "JPEG") for row, size in enumerate(SIZES)]
    return read_parquet(parquet_file("images.parquet", [row % 4 for row in range(12)], images), None, None)


def test_kept_images_are_those_of_the_table(jpegs, monkeypatch):
    rows = np.array([1, 2, 5, 8, 11])
    kept = keep_originals(jpegs, rows, 2**20)
    expected = [jpegs.image(row) for row in range(12)]
    decoded = []
    monkeypatch.setattr(jpegs, "image", lambda row: decoded.append(row) or expected[row])
    assert all(torch.equal(kept.image(row), expected[row]) for row in range(12))
    assert decoded == [0, 3, 4, 6, 7, 9, 10]
    assert kept.fingerprint == jpegs.fingerprint and len(kept) == 12
    np.testing.assert_array_equal(kept.labels, jpegs.labels)


def test_budget_is_exact(jpegs, monkeypatch):
    rows = np.arange(12)
    needed = sum(3 * height * width for height, width in SIZES)
    assert keep_originals(jpegs, rows, needed).pixels.numel() == needed
    assert keep_originals(jpegs, rows, needed - 1) is None
    monkeypatch.setattr(
        originals, "SAMPLED_ROWS", 1
    )  # the first image is smaller than the mean: too little is foreseen
    assert keep_originals(jpegs, rows, needed - 1) is None


def test_a_data_set_far_too_large_is_not_decoded():
    table, decoded = random_table(1000), []
    read = table.image
    table.image = lambda row: decoded.append(row) or read(row)
    assert keep_originals(table, np.arange(1000), 1000 * 3 * 12 * 12 - 1) is None
    assert len(decoded) < 20


def test_broken_image_is_named(jpegs, monkeypatch):
    def image(row):
        if row == 7:
            raise UserError("Cannot decode row 7.")
        return torch.zeros(3, 4, 4, dtype=torch.uint8)

    monkeypatch.setattr(jpegs, "image", image)
    with pytest.raises(UserError, match="row 7"):
        keep_originals(jpegs, np.arange(12), 2**20)


@pytest.mark.parametrize("workers", [0, 2])
def test_views_are_those_of_images_decoded_again(jpegs, monkeypatch, workers):
    settings = dict(augment=Augment("resized_crop", flip=True), workers=workers, holdout=0.3)
    kept = data_module(jpegs, **settings)
    views = [epoch_of(kept.train_dataloader(), epoch) for epoch in (0, 1)]
    assert isinstance(kept.train_dataloader().dataset.table, OriginalsInMemory)
    monkeypatch.setattr(datamodule, "MEMORY_BUDGET", 0)
    again = data_module(jpegs, **settings)
    assert again.train_dataloader().dataset.table is jpegs
    assert all(same(view, epoch_of(again.train_dataloader(), epoch)) for epoch, view in enumerate(views))
