"""Names of classes, from files of every kind."""

import json

import pytest

from ktlight.data.classes import name_classes, read_class_list
from ktlight.data.dataset import ImageDataset, numbered_classes
from ktlight.data.imagefolder import load_imagefolder
from ktlight.data.parquet import load_parquet
from ktlight.errors import UserError

from .conftest import random_table

NAMES = ["ant", "bee", "cat", "dog"]
WNIDS = ["n00000004", "n00000003", "n00000002", "n00000001"]


def numbered(names=None, **more):
    return ImageDataset("any", None, random_table(), tuple(names) if names else numbered_classes(4), **more)


def write(tmp_path, name, content):
    (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return str(tmp_path / name)


OBJECTS = [{"wnid": wnid, "name": name, "more": 1} for wnid, name in zip(WNIDS, NAMES, strict=True)]
CSV = "label,name,wnid\n" + "".join(f"{row},{NAMES[row]},{WNIDS[row]}\n" for row in (2, 0, 3, 1))


@pytest.mark.parametrize(
    "name, content, wnids",
    [
        ("a.json", NAMES, None),
        ("b.json", OBJECTS, WNIDS),
        ("c.txt", "\ufeffant\nbee \n\ncat\r\ndog\n", None),
        ("d.csv", "name\nant\nbee\ncat\ndog\n", None),
        ("e.csv", CSV, WNIDS),
        ("F.CSV", CSV.replace("label", "index"), WNIDS),
    ],
)
def test_files(tmp_path, name, content, wnids):
    assert not numbered().has_names
    named = name_classes(numbered(), write(tmp_path, name, content))
    assert named.class_names == tuple(NAMES) and named.has_names
    assert named.wnids == (tuple(wnids) if wnids else None)
    assert named.identity == numbered().identity


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("a.json", NAMES[:3], r"a\.json names 3 classes, but any has 4"),
        ("a.json", [*NAMES, "eel"], "names 5 classes, but any has 4"),
        ("a.json", ["ant", "bee", "ant", "dog"], "the same names more than once: ant"),
        ("a.json", [{**entry, "wnid": "n00000001"} for entry in OBJECTS], "the same ids more than once: n00000001"),
        ("a.json", [{"name": "ant", "wnid": "n00000001"}, *({"name": name} for name in NAMES[1:])], "its id"),
        ("a.json", [{"wnid": wnid} for wnid in WNIDS], "must give every class its name"),
        ("a.json", {"0": "ant"}, "no list of names or objects"),
        ("a.json", "[", r"is not as it must be \(Expecting value"),
        ("a.csv", "label\n0\n", "no column name"),
        ("a.csv", "label,name\n0,ant\n2,bee\n", "label does not number the classes from 0"),
        ("a.csv", "label,name\nx,ant\n", "is not as it must be"),
        ("a.csv", "", "no column name"),
        ("a.txt", "", "must give every class its name"),
        ("a.yaml", "", r"a\.yaml must be a \.json list of names"),
    ],
)
def test_files_that_do_not_fit(tmp_path, name, content, message):
    with pytest.raises(UserError, match=message) as caught:
        name_classes(numbered(), write(tmp_path, name, content))
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match=r"Cannot read data\.class_names=nowhere\.json.*No such file"):
        read_class_list("nowhere.json")
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="is not as it must be"):
        read_class_list(str(tmp_path / "a.txt"))
    with pytest.raises(UserError, match="must be"):
        read_class_list(["ant", "bee"])


def test_names_of_the_data_must_agree(tmp_path):
    named = numbered(NAMES)
    assert name_classes(named, write(tmp_path, "a.json", OBJECTS)).wnids == tuple(WNIDS)
    with pytest.raises(UserError, match="same names in another order: class 0 is ant in any and bee in the file"):
        name_classes(named, write(tmp_path, "b.json", ["bee", "ant", "cat", "dog"]))
    with pytest.raises(UserError, match="only any has ant; only the file has eel"):
        name_classes(named, write(tmp_path, "c.json", ["eel", "bee", "cat", "dog"]))


def test_wordnet_ids_are_translated_in_any_order_and_among_others(class_folders, tmp_path):
    data = load_imagefolder(val=str(class_folders("val", sorted(WNIDS)[1:])))
    named = name_classes(data, write(tmp_path, "a.json", OBJECTS))
    assert named.class_names == ("cat", "bee", "ant") and named.wnids == tuple(sorted(WNIDS)[1:])
    with pytest.raises(UserError, match=r"has no name for n00000004, classes of imagefolder"):
        name_classes(data, write(tmp_path, "b.json", OBJECTS[1:]))
    with pytest.raises(UserError, match="need a wnid to translate"):
        name_classes(data, write(tmp_path, "c.json", NAMES[:3]))


def test_classes_that_no_label_shows_may_have_names_too(parquet_file, tmp_path):
    file = write(tmp_path, "a.json", NAMES)
    assert name_classes(load_parquet(None, parquet_file("a.parquet", [0, 1])), file).class_names == tuple(NAMES)
    with pytest.raises(UserError, match="names 4 classes, but parquet has 5"):
        name_classes(load_parquet(None, parquet_file("b.parquet", [0, 4])), file)
    with pytest.raises(UserError, match="names 4 classes, but parquet has 2"):
        name_classes(load_parquet(None, parquet_file("a.parquet", [0, 1]), num_classes=2), file)


def test_shared_classes(shared_data):
    for folder, file, count in (("cifar10", "test", 10), ("tinyimagenet100", "val", 100)):
        data = load_parquet(None, str(shared_data / folder / f"{folder}-{file}.parquet"))
        named = name_classes(data, str(shared_data / folder / "classes.json"))
        assert len(set(named.class_names)) == named.num_classes == count and not data.has_names
        assert (named.wnids is None) == (folder == "cifar10")
