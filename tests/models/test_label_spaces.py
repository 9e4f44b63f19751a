"""The ladder, rung by rung: on small lists by hand, and on timm's lists of ImageNet."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from timm.data import ImageNetInfo
from torch.testing import assert_close

from ktlight.errors import UserError
from ktlight.functional.label_spaces import map_logits
from ktlight.models.class_names import Classes, named_classes
from ktlight.models.label_map import LabelMap
from ktlight.models.label_spaces import ForeignClasses, are_comparable, find_label_map

CIFAR10 = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
IDS = [f"n0000000{number}" for number in range(6)]


def imagenet(subset: str) -> Classes:
    return named_classes(ImageNetInfo(subset).label_names())


def found(own: Classes, data: Classes, labels: str = "auto", file: str | None = None) -> LabelMap:
    label_map = find_label_map(own, data, "teacher", labels, file)
    assert label_map is not None
    return label_map


def test_equal_lists_and_equally_many_of_which_nothing_is_known_are_the_same() -> None:
    named = named_classes(["ant", "bee", "cat"])
    assert find_label_map(named, named, "teacher") is None
    for own, data in ((Classes(3), named), (named, Classes(3)), (Classes(3), Classes(3))):
        assert find_label_map(own, data, "teacher") is None and not are_comparable(own, data)


def test_the_user_may_vouch_that_they_are_the_same() -> None:
    own, data = named_classes(["x", "y"]), named_classes(["ant", "bee"])
    assert find_label_map(own, data, "teacher", "same") is None
    with pytest.raises(UserError, match=r"labels=same says .* teacher .* for 2 classes, and the data has 3"):
        find_label_map(own, Classes(3), "teacher", "same")


@given(st.permutations(range(6)))
def test_equal_names_in_another_order_are_put_into_the_data_s(order: list[int]) -> None:
    names = ["ant", "bee", "cat", "dog", "elk", "fox"]
    own = named_classes([names[number] for number in order])
    label_map = find_label_map(own, named_classes(names), "teacher")
    if order == sorted(order):
        assert label_map is None
        return
    assert label_map is not None and (label_map.how, label_map.reorders) == ("permuted", True)
    said = torch.tensor([float(number) for number in order])[None]  # each logit is the number of its class
    assert torch.equal(label_map(said).logits_BC[0], torch.arange(6.0))


def test_wordnet_ids_come_before_names() -> None:
    own = Classes(3, ("crane", "crane", "cat"), tuple(IDS[:3]))
    label_map = found(own, Classes(2, ("Kranich", "Kran"), (IDS[1], IDS[0])))
    assert (label_map.how, label_map.classes_Z) == ("synset", (1, 0, -1))
    permuted = found(own, Classes(3, ("cat", "crane", "crane"), (IDS[2], IDS[0], IDS[1])))
    assert (permuted.how, permuted.classes_Z) == ("permuted", (1, 2, 0))


def test_names_map_where_one_word_is_shared_by_one_class_of_each_side() -> None:
    own = named_classes(
        ["cat, true cat", "crane", "crane", "dog, domestic_dog", "horse", "sawhorse, horse", "pine, tree"]
    )
    data = named_classes(["Domestic dog", "true cat", "crane", "a pine"])
    label_map = found(own, data)
    assert label_map.classes_Z == (1, -1, -1, 0, -1, -1, 3)
    assert (label_map.how, label_map.missing, label_map.ambiguous) == ("names", (2,), ("crane",))


def test_a_class_that_two_of_the_data_s_want_belongs_to_neither() -> None:
    own = named_classes(["sedan, car", "bus", "van", "tram"])
    label_map = found(own, named_classes(["sedan", "car", "bus", "van", "tram"]))
    assert (label_map.classes_Z, label_map.ambiguous) == ((-1, 2, 3, 4), ("sedan", "car"))


def test_exactly_half_is_too_few_unless_the_rung_is_asked_for() -> None:
    own, data = named_classes(["ant", "bee", "x", "y"]), named_classes(["ant", "bee", "cat", "dog"])
    half = r"labels=names covers 2 of 4 \(without cat, dog\) \(more than half are needed.*labels=learned.*task=pretrain"
    with pytest.raises(ForeignClasses, match=half):
        find_label_map(own, data, "teacher")
    assert found(own, data, "names").covered == 2
    assert found(own, named_classes(["ant", "bee", "cat"])).covered == 2


@pytest.mark.parametrize("labels", ["synset", "names"])
def test_a_map_that_covers_nothing_is_refused_however_it_was_asked_for(labels: str) -> None:
    own, data = Classes(2, ("x", "y"), tuple(IDS[:2])), Classes(2, ("ant", "bee"), tuple(IDS[2:4]))
    with pytest.raises(
        UserError, match=rf"labels={labels} maps no class of teacher .* covers 0 of 2 \(without ant, bee"
    ):
        find_label_map(own, data, "teacher", labels)
    with pytest.raises(UserError, match="of both sides are not known"):
        find_label_map(own, Classes(2), "teacher", labels)
    with pytest.raises(ForeignClasses, match=r"labels=synset covers 0 of 2 .*; labels=names covers 0 of 2"):
        find_label_map(own, data, "teacher")


def test_labels_to_be_learned_need_no_names_and_are_never_chosen_unasked() -> None:
    label_map = found(Classes(5), Classes(2), "learned")
    assert (label_map.how, label_map.own_classes, label_map.covered) == ("learned", 5, 2)
    with pytest.raises(ForeignClasses, match="its and the data's classes have no names to compare"):
        find_label_map(Classes(5), Classes(2), "teacher")


def test_a_21k_teacher_on_ten_classes_without_names() -> None:
    own = Classes(**{**vars(imagenet("imagenet-21k")), "taken_for": "imagenet-21k-goog"})
    message = (
        r"for 21843 classes, taken for imagenet-21k-goog, but the data has 10, .*the data's classes have no names .*"
        r"label_map=FILE\.csv.*labels=learned.*data\.class_names=FILE.*task=pretrain"
    )
    with pytest.raises(ForeignClasses, match=message):
        find_label_map(own, named_classes([str(number) for number in range(10)]), "big")


def test_cifar_10_s_names_are_too_ambiguous_among_21k_classes() -> None:
    own, data = imagenet("imagenet-21k"), named_classes(CIFAR10)
    with pytest.raises(ForeignClasses, match=r"covers 5 of 10 \(ambiguous: bird, cat, dog, horse, truck\)"):
        find_label_map(own, data, "big")
    label_map = found(own, data, "names")
    words = ImageNetInfo("imagenet-21k").label_descriptions()
    said = {CIFAR10[place]: words[number] for number, place in enumerate(label_map.classes_Z) if place >= 0}
    assert said == {
        "airplane": "airplane, aeroplane, plane", "automobile": "car, auto, automobile, machine, motorcar",
        "deer": "deer, cervid", "frog": "frog, toad, toad frog, anuran, batrachian, salientian", "ship": "ship",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("subset", "covered"), [("imagenet-12k", 993), ("imagenet-21k", 999), ("imagenet-22k-ms", 1000)]
)
def test_larger_imagenets_answer_in_the_smaller_by_wordnet_id(subset: str, covered: int) -> None:
    label_map, data = found(imagenet(subset), imagenet("imagenet-1k")), ImageNetInfo("imagenet-1k").label_names()
    assert (label_map.how, label_map.covered) == ("synset", covered)
    own = ImageNetInfo(subset).label_names()
    assert all(place < 0 or data[place] == own[number] for number, place in enumerate(label_map.classes_Z))
    assert covered == 1000 or "n04399382" in [data[place] for place in label_map.missing]  # teddy, teddy bear


def test_a_1k_model_answers_in_timms_subset_of_it() -> None:
    """timm's indices of ImageNet-A are what the map by WordNet id finds."""
    folder = Path(str(__import__("timm").data.__file__)).parent / "_info"
    indices = [int(line) for line in (folder / "imagenet_a_indices.txt").read_text().split()]
    data = named_classes((folder / "imagenet_a_synsets.txt").read_text().split())
    label_map = found(imagenet("imagenet-1k"), data)
    assert label_map.covered == 200 and [label_map.classes_Z.index(place) for place in range(200)] == indices
    logits = torch.randn(2, 1000)
    assert_close(label_map(logits).logits_BC, logits[:, indices].log_softmax(1))


def test_the_hundred_classes_of_tiny_imagenet(shared: Path) -> None:
    listed = json.loads((shared / "data" / "tinyimagenet100" / "classes.json").read_text())
    names, wnids = [each["name"] for each in listed], [each["wnid"] for each in listed]
    own, info = imagenet("imagenet-1k"), ImageNetInfo("imagenet-1k")
    by_id, by_word = found(own, named_classes(names, wnids)), found(own, named_classes(names))
    assert (by_id.how, by_id.covered, by_word.how, by_word.covered) == ("synset", 100, "names", 100)
    assert by_id.classes_Z == by_word.classes_Z
    by_hand = {"goldfish": 1, "bullfrog": 30, "scorpion": 71, "goose": 99, "jellyfish": 107}
    for name, number in by_hand.items():
        assert by_id.classes_Z[number] == names.index(name) and info.label_descriptions()[number].startswith(name)
    logits = torch.randn(3, 1000)
    said, mass = map_logits(logits, torch.tensor(by_id.classes_Z), 100)
    assert_close(by_id(logits).logits_BC, said)
    assert_close(by_id(logits).mass_B, mass)
