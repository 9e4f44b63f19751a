"""Data sets from files, folders and the Hub; good and bad."""

import json
import pickle
import re

import datasets
import numpy as np
import pyarrow as pa
import pytest
import torch
from timm.data.imagenet_info import ImageNetInfo
from torchvision.datasets import ImageFolder

from ktlight.data.augment import Augment
from ktlight.data.datamodule import ImageDataModule
from ktlight.data.encoded import EncodedTable
from ktlight.data.huggingface import hub_table, load_cifar, load_imagenet
from ktlight.data.imagefolder import load_imagefolder
from ktlight.data.parquet import load_parquet
from ktlight.errors import UserError

from .conftest import encode, random_pixels


def pixels_of(row: int) -> torch.Tensor:
    return torch.from_numpy(random_pixels(row)).permute(2, 0, 1)


def test_parquet(parquet_file):
    train, val = parquet_file("train.parquet", [0, 1, 2, 1]), parquet_file("val.parquet", [2, 0])
    dataset = load_parquet(train, val)
    assert (len(dataset.train), len(dataset.val), dataset.class_names) == (4, 2, ("0", "1", "2"))
    assert dataset.train.labels.tolist() == [0, 1, 2, 1] and dataset.native_size == 10
    assert all(torch.equal(dataset.train.image(row), pixels_of(row)) for row in range(4))


def test_parquet_patterns_and_lists_keep_their_order(parquet_file, tmp_path):
    for number, labels in enumerate([[0, 0], [1], [2, 2, 2]]):
        parquet_file(f"part-{number}.parquet", labels)
    pattern = str(tmp_path / "part-*.parquet")
    assert load_parquet(None, pattern).val.labels.tolist() == [0, 0, 1, 2, 2, 2]
    backwards = [str(tmp_path / f"part-{number}.parquet") for number in (2, 0)]
    dataset = load_parquet(pattern, backwards)
    assert dataset.val.labels.tolist() == [2, 2, 2, 0, 0] and dataset.num_classes == 3


def test_parquet_named_columns_and_classes(parquet_file):
    file = parquet_file("a.parquet", [0, 1], image_key="photo", coarse=pa.array([0, 0]))
    dataset = load_parquet(None, file, "photo", "coarse", num_classes=5)
    assert dataset.train is None and dataset.num_classes == 5 and dataset.val.labels.tolist() == [0, 0]


def test_parquet_written_by_hugging_face_has_its_class_names(tmp_path):
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog", "eel"])})
    rows = {"image": [{"bytes": encode(random_pixels(0)), "path": None}], "label": [1]}
    datasets.Dataset.from_dict(rows, features).to_parquet(tmp_path / "named.parquet")
    assert load_parquet(None, str(tmp_path / "named.parquet")).class_names == ("cat", "dog", "eel")


def test_the_same_images_have_the_same_identity_in_other_files(parquet_file):
    files = [parquet_file(name, [0, 1, 2]) for name in ("a.parquet", "b.parquet")]
    first, second = (load_parquet(None, file).identity for file in files)
    assert first == second != load_parquet(None, parquet_file("c.parquet", [0, 1, 1])).identity


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"val": None}, r"give data\.val="),
        ({"val": "nowhere.parquet"}, r"No file 'nowhere\.parquet'"),
        (
            {"label_key": "lable"},
            r"no column 'lable'; it has image \(images\), label \(int64\), extra \(int64\).*label\?",
        ),
        ({}, r"Cannot tell .*label column.*Give data\.label_key="),
        ({"label_key": "image"}, r"column 'image' of .* does not hold labels"),
        ({"label_key": "label", "num_classes": 2}, "Row 2 of the validation split of parquet has the label 2"),
    ],
)
def test_parquet_bad_settings(parquet_file, settings, message):
    file = parquet_file("a.parquet", [0, 1, 2], extra=pa.array([1, 1, 1]))
    with pytest.raises(UserError, match=message):
        load_parquet(**{"train": None, "val": file, **settings})


def test_parquet_bad_rows(parquet_file):
    good, half = encode(random_pixels(0)), encode(random_pixels(1))[:80]
    dataset = load_parquet(None, parquet_file("a.parquet", [0, 1, 0], [good, half, None]))
    for row in (1, 2):
        with pytest.raises(UserError) as caught:
            dataset.val.image(row)
        assert re.fullmatch(
            r"2 of 3 images of \S+a\.parquet cannot be read: row 1 of \S+a\.parquet \(.+\), row 2 of \S+a\.parquet "
            r"\(there is no image\)\. Replace or remove them, or leave them out with data\.skip_corrupt=true\.",
            str(caught.value),
        )
    with pytest.raises(UserError, match=r"Row 1 of .*b\.parquet has no label"):
        load_parquet(None, parquet_file("b.parquet", [0, None], [good, good]))
    with pytest.raises(UserError, match=r"no rows in .*c\.parquet: a split cannot be empty"):
        load_parquet(None, parquet_file("c.parquet", []))


def test_parquet_file_that_is_none(tmp_path):
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(UserError, match=r"Cannot read .*broken\.parquet as parquet"):
        load_parquet(None, str(tmp_path / "broken.parquet"))


def test_class_folders_equal_torchvisions(class_folders):
    for split in ("train", "val"):
        folder = class_folders(split, ["zebra", "ant", "test"])
    dataset = load_imagefolder(str(folder.parent))
    expected = ImageFolder(folder)
    assert dataset.class_names == tuple(expected.classes)
    assert dataset.val.labels.tolist() == expected.targets
    for row, (image, _) in enumerate(expected):
        np.testing.assert_array_equal(dataset.val.image(row).permute(1, 2, 0), np.asarray(image))


def test_class_folders_for_evaluation_only(class_folders):
    folder = class_folders("val", ["ant", "bee"])
    assert load_imagefolder(root=str(folder.parent)).train is None
    assert load_imagefolder(val=str(folder)).num_classes == 2


def test_bad_class_folders(class_folders, tmp_path):
    train, val = class_folders("train", ["ant", "bee", "cat"]), class_folders("val", ["ant", "bee", "dog"])
    with pytest.raises(UserError, match="differ: only the first has cat; only the second has dog"):
        load_imagefolder(str(tmp_path))
    with pytest.raises(UserError, match="No folder"):
        load_imagefolder(train=str(train), val=str(tmp_path / "test"))
    with pytest.raises(UserError, match=r"give|needs data\.root="):
        load_imagefolder()
    (val / "dog" / "0.png").write_bytes(b"not an image")
    dataset = load_imagefolder(val=str(val))
    (val / "dog" / "1.png").unlink()
    with pytest.raises(UserError, match=r"2 of 9 images of .*dog/0\.png \(.*dog/1\.png \(No such file"):
        dataset.val.image(6)
    (val / "eel").mkdir()
    with pytest.raises(UserError, match=r"class folder .*eel holds no image"):
        load_imagefolder(val=str(val))
    with pytest.raises(UserError, match="holds no class folders"):
        load_imagefolder(val=str(val / "eel"))


def test_imagenet_folders_must_be_imagenets(class_folders):
    folder = class_folders("val", ["n01440764", "n01443537"])
    with pytest.raises(UserError, match="has 2 class folders, but ImageNet has 1000"):
        load_imagenet("imagenet", "no/matter", str(folder.parent))


def test_imagenet_folders_are_its_wordnet_ids(class_folders):
    wnids = ImageNetInfo("imagenet-1k").label_names()
    right = class_folders("val", wnids, images_per_class=1)
    dataset = load_imagenet("imagenet", "no/matter", str(right.parent))
    assert dataset.wnids == dataset.class_names == tuple(wnids)
    (right / wnids[0]).rename(right / "0")
    (right / wnids[1]).rename(right / "n00000000")
    with pytest.raises(UserError, match=r"none of ImageNet-1k's WordNet ids .*: 0, n00000000\. .*data=imagefolder"):
        load_imagenet("imagenet", "no/matter", str(right.parent))


def test_cifar_from_a_folder(parquet_file, tmp_path):
    parquet_file("cifar-train-0.parquet", [3, 1], image_key="img")
    parquet_file("cifar-test.parquet", [0], image_key="img")
    dataset = load_cifar("cifar10", "no/matter", "label", 10, str(tmp_path))
    assert (len(dataset.train), len(dataset.val), dataset.num_classes) == (2, 1, 10)


def test_hub(monkeypatch):
    features = datasets.Features({"img": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])})
    rows = {"img": [{"bytes": encode(random_pixels(row)), "path": None} for row in range(2)], "label": [0, 1]}
    asked = []

    def load_dataset(repository, split):
        asked.append((repository, split))
        return datasets.Dataset.from_dict(rows, features)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    dataset = load_cifar("cifar10", "uoft-cs/cifar10", "label", 10)
    assert asked == [("uoft-cs/cifar10", "train"), ("uoft-cs/cifar10", "test")]
    assert dataset.class_names == ("cat", "dog") and torch.equal(dataset.val.image(1), pixels_of(1))


def test_hub_table_survives_a_worker_that_is_spawned():
    features = datasets.Features({"img": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])})
    rows = {"img": [{"bytes": encode(random_pixels(row)), "path": None} for row in range(2)], "label": [0, 1]}
    table = hub_table(datasets.Dataset.from_dict(rows, features), "hub")
    copy = pickle.loads(pickle.dumps(table))
    assert torch.equal(copy.image(1), table.image(1)) and copy.fingerprint == table.fingerprint
    assert copy.images.place(1) == "row 1 of hub"


def test_hub_without_a_network(monkeypatch):
    def load_dataset(*_, **__):
        raise ConnectionError("Couldn't reach it")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(UserError, match=r"Cannot get ILSVRC/imagenet-1k .*Couldn't reach it.*data\.root=<folder>"):
        load_imagenet("imagenet", "ILSVRC/imagenet-1k")


def test_arrow_table_survives_a_worker_that_is_spawned(parquet_file):
    table = load_parquet(None, parquet_file("a.parquet", [0, 1])).val
    copy = pickle.loads(pickle.dumps(table))
    assert isinstance(copy, EncodedTable) and torch.equal(copy.image(1), table.image(1))


def first_batch(dataset, canvas: int, **settings):
    numbers = {"fraction": 1.0, "views": None, "batch_size": 32, "eval_batch_size": 100, "workers": 0, "seed": 0}
    data = ImageDataModule(dataset, canvas=canvas, augment=Augment("pad_crop", flip=True), **{**numbers, **settings})
    images = data.test_images(None).batches() if dataset.train is None else data.train_dataloader()
    return next(iter(images)), data


def test_shared_cifar10(shared_data):
    dataset = load_cifar("cifar10", "no/matter", "label", 10, str(shared_data / "cifar10"))
    batch, data = first_batch(dataset, 32, fraction=0.002)
    assert (len(dataset.train), data.num_train, data.num_eval, dataset.native_size) == (50000, 100, 10000, 32)
    assert batch["image"].shape == (32, 3, 32, 32)
    assert np.bincount(dataset.train.labels[data.train_rows]).tolist() == [10] * 10


def test_shared_tiny_imagenet(shared_data):
    folder = shared_data / "tinyimagenet100"
    dataset = load_parquet(*(str(folder / f"tinyimagenet100-{split}.parquet") for split in ("train", "val")))
    assert dataset.num_classes == len(json.loads((folder / "classes.json").read_text())) == 100
    batch, data = first_batch(dataset, 48, fraction=0.05)
    assert (data.num_train, data.num_eval, dataset.native_size) == (1000, 5000, 64)
    assert batch["image"].shape == (32, 3, 48, 48)


def test_shared_imagenet_samples(shared_data, monkeypatch):
    monkeypatch.setattr("ktlight.data.datamodule.MEMORY_BUDGET", 0)
    dataset = load_parquet(None, str(shared_data / "imagenet_samples" / "imagenet-samples.parquet"))
    assert dataset.val.labels.tolist() == list(range(1000)) and dataset.native_size == 256
    batch, _ = first_batch(dataset, 256, eval_batch_size=10)
    assert batch["image"].shape == (10, 3, 256, 256)
