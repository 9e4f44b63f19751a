"""Images that cannot be read: all of them are told, or left out on purpose."""

import logging
import re

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from ktlight.data.augment import Augment
from ktlight.data.datamodule import ImageDataModule
from ktlight.data.encoded import UnreadableImageError
from ktlight.data.imagefolder import load_imagefolder
from ktlight.data.parquet import load_parquet, read_parquet
from ktlight.data.splits import without_corrupt
from ktlight.errors import UserError

from .conftest import encode, random_pixels


@pytest.fixture
def damaged(parquet_file):
    """Forty images, 13 of which are none."""
    images = [encode(random_pixels(row)) for row in range(40)]
    for row in range(0, 39, 3):
        images[row] = [b"", None, b"no image"][row % 9 // 3]
    return load_parquet(None, parquet_file("a.parquet", [row % 4 for row in range(40)], images))


def test_all_are_listed_at_once(damaged):
    with pytest.raises(UserError) as caught:
        damaged.val.image(6)
    message = str(caught.value)
    assert message.startswith("13 of 40 images of ") and "\n" not in message
    assert "row 0 of " in message and "(it is empty)" in message and "(there is no image)" in message
    assert message.count("row ") == 10 and ", ...." in message
    assert message.endswith("or leave them out with data.skip_corrupt=true.")


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("budget", [0, 2**30])
def test_whoever_meets_the_first(damaged, workers, budget, monkeypatch):
    monkeypatch.setattr("ktlight.data.datamodule.MEMORY_BUDGET", budget)
    numbers = {"fraction": 1.0, "views": None, "batch_size": 4, "eval_batch_size": 4, "workers": workers, "seed": 0}
    with pytest.raises(UserError, match=r"^13 of 40 images of .* cannot be read: row 0 of"):
        data = ImageDataModule(damaged, canvas=12, augment=Augment("none"), **numbers)
        list(data.test_images(None).batches())


class Rows(Dataset):
    def __init__(self, table):
        self.table = table

    def __len__(self):
        return len(self.table)

    def __getitem__(self, row):
        try:
            return self.table.image(row)
        except UserError as error:
            return error


def test_a_worker_process_tells_of_its_own_image_only(damaged):
    found = list(DataLoader(Rows(damaged.val), batch_size=None, num_workers=1))
    errors = [error for error in found if isinstance(error, UnreadableImageError)]
    assert [error.row for error in errors] == list(range(0, 39, 3))
    assert re.fullmatch(r"row 6 of .*a\.parquet: it is no image of a known format", str(errors[2]))


def test_left_out_on_purpose(damaged, caplog):
    with caplog.at_level(logging.INFO):
        rest = without_corrupt(damaged)
    assert re.search(r"13 of 40 images of .*a\.parquet cannot be read and are left out: row 0 of", caplog.text)
    kept = [row for row in range(40) if row % 3 or row == 39]
    assert rest.val.labels.tolist() == [row % 4 for row in kept]
    for place, row in enumerate(kept):
        assert torch.equal(rest.val.image(place), torch.from_numpy(random_pixels(row)).permute(2, 0, 1))
    assert rest.identity != damaged.identity and rest.num_classes == 4
    assert not rest.val.unreadable and without_corrupt(rest).val is rest.val


def test_the_rest_has_the_identity_of_the_same_images_alone(damaged, parquet_file):
    kept = [row for row in range(40) if row % 3 or row == 39]
    alone = parquet_file("b.parquet", [row % 4 for row in kept], [encode(random_pixels(row)) for row in kept])
    assert without_corrupt(damaged).identity == load_parquet(None, alone).identity


def test_nothing_is_left(parquet_file):
    dataset = load_parquet(None, parquet_file("a.parquet", [0, 1], [b"", b"x"]))
    with pytest.raises(UserError, match=r"None of the 2 images of .*a\.parquet can be read"):
        without_corrupt(dataset)


def test_folders_name_the_file(class_folders):
    folder = class_folders("val", ["ant", "bee"])
    (folder / "bee" / "1.png").write_bytes(encode(random_pixels(0))[:60])
    (folder / "ant" / "2.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"^2 of 6 images of .*ant/2\.png \(it is empty\), .*bee/1\.png \("):
        load_imagefolder(val=str(folder)).val.image(4)


def test_replaced_images_of_a_large_split_are_noticed_by_their_sizes(parquet_file, monkeypatch):
    monkeypatch.setattr("ktlight.data.dataset.FINGERPRINT_BYTES", 1000)
    images = [encode(random_pixels(row, 10, 12), "PNG") for row in range(40)]
    before = read_parquet(parquet_file("a.parquet", [0] * 40, images)).fingerprint
    for row in np.arange(40):
        changed = list(images)
        changed[row] = encode(random_pixels(100, 10, 13), "PNG")
        assert read_parquet(parquet_file("a.parquet", [0] * 40, changed)).fingerprint != before
