from pathlib import Path

import pytest
from omegaconf import OmegaConf

from ktlight.data.arrays import from_torch
from ktlight.data.encoded import EncodedTable
from ktlight.errors import UserError
from ktlight.training.assemble import as_asked
from tests.tiny import dataset


def options(**data):
    return OmegaConf.create({"data": {"class_names": None, "skip_corrupt": False, **data}})


def test_nothing_asked_for():
    data = dataset()
    assert as_asked(options(), data) is data


def test_classes_are_named(tmp_path: Path):
    names = [f"class {label}" for label in range(dataset().num_classes)]
    (tmp_path / "names.txt").write_text("\n".join(names))
    assert as_asked(options(class_names=str(tmp_path / "names.txt")), dataset()).class_names == tuple(names)


def test_unreadable_images_are_left_out():
    class Images:
        sizes = None

        def __len__(self):
            return 3

    data = dataset()
    split = EncodedTable(Images(), data.val.labels[:3], "photos")
    split.unreadable = {1: "it is empty"}
    split.images.place = str
    rest = as_asked(options(skip_corrupt=True), type(data)("any", None, split, data.class_names))
    assert rest.val.labels.tolist() == data.val.labels[[0, 2]].tolist()


def test_a_users_own_code_reads_its_images_itself():
    own = from_torch(None, [(data, 0) for data in range(3)])
    with pytest.raises(UserError, match="read by your own code; skip them there"):
        as_asked(options(skip_corrupt=True), own)
