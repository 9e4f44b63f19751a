"""A user's map: what its rows mean, and every way in which they can be wrong."""

from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from ktlight.errors import UserError
from ktlight.models.class_names import Classes
from ktlight.models.label_file import read_label_map
from ktlight.models.label_map import LabelMap
from ktlight.models.label_spaces import find_label_map

OWN = Classes(
    5, ("tabby, tabby cat", "Siamese cat", "crane", "crane", "truck"), tuple(f"n0000000{z}" for z in range(5))
)
DATA = Classes(3, ("cat", "bird", "machine"))


@pytest.fixture
def read(tmp_path: Path):
    def read(text: str, own: Classes = OWN, data: Classes = DATA) -> LabelMap:
        (tmp_path / "map.csv").write_text(text)
        return read_label_map(str(tmp_path / "map.csv"), own, data)

    return read


def test_classes_go_by_name_word_wordnet_id_or_number(read) -> None:
    label_map = read("model_class, class\ntabby cat, cat\nsiamese_cat, 0\nn00000002, Bird\n3,machine\n")
    assert (label_map.how, label_map.classes_Z, label_map.weights_ZC) == ("file", (0, 0, 1, 2, -1), None)
    quoted = read('class,model_class,remark\ncat,"tabby, tabby cat",mine\n')
    assert (quoted.classes_Z, quoted.covered) == ((0, -1, -1, -1, -1), 1)


def test_numbers_are_enough_where_nothing_has_a_name(read) -> None:
    assert read("model_class,class\n4,1\n0,0\n", Classes(5), Classes(2)).classes_Z == (0, -1, -1, -1, 1)


def test_a_class_that_is_called_like_a_number_is_meant_by_it(read) -> None:
    assert read("model_class,class\n1,0\n", Classes(2, ("1", "0"))).classes_Z == (0, -1)


def test_weights_share_a_class_among_several(read) -> None:
    label_map = read("model_class,class,weight\n2,bird,0.25\n2,machine,0.75\ntruck,machine,1\n1,cat,0.5\n")
    expected = torch.zeros(5, 3)
    expected[2, 1], expected[2, 2], expected[4, 2], expected[1, 0] = 0.25, 0.75, 1, 0.5
    assert_close(label_map.weights_ZC, expected)
    theta = torch.randn(4, 5).softmax(1)
    said = label_map(theta.log())
    joint = theta @ expected
    assert_close(said.logits_BC.softmax(1), joint / joint.sum(1, keepdim=True))
    assert_close(said.mass_B, joint.sum(1))


def test_weights_of_one_are_as_good_as_none(read) -> None:
    label_map = read("model_class,class,weight\n0,cat,1\n1,cat,1.0\n4,machine,1\n")
    assert (label_map.classes_Z, label_map.weights_ZC) == ((0, 0, -1, -1, 2), None)


HEAD, WEIGHTED = "model_class,class\n", "model_class,class,weight\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no column model_class and no column class: it must be a csv file"),
        ("teacher,class\n0,0\n", "has no column model_class:"),
        (HEAD, "has no rows"),
        (HEAD + "tabbi,cat\n", r"line 2: the model has no class 'tabbi'\. Did you mean tabby\?"),
        (HEAD + "0,cat\n1,brid\n", r"line 3: the data has no class 'brid'\. Did you mean bird\?"),
        (HEAD + "5,cat\n", r"the model has no class '5'\. Their numbers go from 0 to 4"),
        (HEAD + "0\n", "the data has no class ''"),
        (HEAD + "crane,bird\n", "'crane' is the name of 2 classes of the model, 2 and 3: give the WordNet id"),
        (HEAD + "0,cat\n1,cat\ntabby,cat\n", "line 4: the two classes are those of line 2: give them once"),
        (HEAD + "0,cat\n0,bird\n", "maps class 0 of the model whole to 2 classes: say in a column weight how much"),
        (WEIGHTED + "0,cat,-0.5\n", "line 2: the weight -0.5 must be a number from 0 to 1"),
        (WEIGHTED + "0,cat,1.5\n", "the weight 1.5 must be"),
        (WEIGHTED + "0,cat,nan\n", "the weight nan must be"),
        (WEIGHTED + "0,cat,half\n", "the weight half must be"),
        (WEIGHTED + "0,cat,0.5\n0,bird,\n", "line 3: the weight is missing, and other rows have one"),
        (WEIGHTED + "0,cat,0.5\n0,bird,0.6\n", "the weights of class 0 of the model sum to 1.1, more than 1"),
        (WEIGHTED + "0,cat,1\n0,bird,1\n", "sum to 2, more than 1"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_line(read, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(text)


def test_thirds_may_be_rounded(read) -> None:
    third = "0.3333334"
    assert read(WEIGHTED + "".join(f"0,{name},{third}\n" for name in DATA.names)).covered == 3


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Cannot read label_map=nowhere\.csv, seen from .*: No such file"):
        read_label_map("nowhere.csv", OWN, DATA)
    (tmp_path / "binary.csv").write_bytes(b"model_class,class\n\xff\xfe\n")
    with pytest.raises(UserError, match=r"cannot be read .*utf-8.*: it must be a csv file"):
        read_label_map(str(tmp_path / "binary.csv"), OWN, DATA)


def test_a_file_takes_the_place_of_the_other_rungs_and_may_cover_few(tmp_path: Path) -> None:
    (tmp_path / "map.csv").write_text("model_class,class\n0,bird\n")
    label_map = find_label_map(OWN, DATA, "teacher", "auto", str(tmp_path / "map.csv"))
    assert label_map is not None and (label_map.how, label_map.covered) == ("file", 1)
    (tmp_path / "map.csv").write_text("model_class,class,weight\n0,bird,0\n")
    with pytest.raises(UserError, match=r"label_map=.* maps no class of teacher to a class of the data: covers 0 of 3"):
        find_label_map(OWN, DATA, "teacher", "file", str(tmp_path / "map.csv"))
