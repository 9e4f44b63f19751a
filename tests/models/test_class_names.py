"""What classes are called, against timm's own lists of ImageNet."""

import pytest
import timm
from timm.data import ImageNetInfo
from torchvision.models._meta import _IMAGENET_CATEGORIES

from ktlight.models.class_names import Classes, classes_of_network, imagenet_wnids, lemmas, named_classes


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("tench, Tinca tinca", "Tench"),
        ("great_white_shark", "great white shark, white shark"),
        ("jack-o'-lantern", "Jack O Lantern"),
        ("The church", "church, church building"),
        ("Crème brûlée", "creme brulee"),
    ],
)
def test_one_word_for_the_same_class_is_enough_however_it_is_written(one: str, other: str) -> None:
    assert lemmas(one) & lemmas(other)


def test_other_words_are_others() -> None:
    assert not lemmas("fire truck") & lemmas("truck, fire engine")
    assert lemmas("a") == {"a"} and lemmas(" , -") == set()  # a class that is called like an article


def test_numbers_are_no_names_and_wordnet_ids_have_words() -> None:
    assert named_classes(["0", "1", "2"]) == Classes(3)
    assert named_classes(["n01440764", "n00000000"]) == Classes(
        2, ("tench, Tinca tinca", "n00000000"), ("n01440764", "n00000000")
    )
    assert named_classes(["a", "b"], ["n00000001", "n00000002"]) == Classes(2, ("a", "b"), ("n00000001", "n00000002"))


def test_torchvisions_names_are_known_for_imagenets_classes() -> None:
    assert named_classes(_IMAGENET_CATEGORIES).wnids == imagenet_wnids("imagenet-1k")
    assert named_classes(_IMAGENET_CATEGORIES[::-1]).wnids is None
    assert named_classes([f"thing {number}" for number in range(1000)]).wnids is None
    swapped = list(_IMAGENET_CATEGORIES)
    swapped[3], swapped[7] = swapped[7], swapped[3]
    assert named_classes(swapped).wnids is None
    others = [f"gadget {number}" for number in range(20)] + list(_IMAGENET_CATEGORIES[20:])
    assert named_classes(others).wnids is None


@pytest.mark.parametrize(
    ("count", "subset"),
    [(1000, "imagenet-1k"), (11821, "imagenet-12k"), (21841, "imagenet-22k"), (21843, "imagenet-21k")],
)
def test_nameless_weights_are_taken_for_the_imagenet_list_of_their_number(count: int, subset: str) -> None:
    network = timm.create_model("test_resnet", num_classes=count)
    own = classes_of_network(network, 100, from_hub=False)
    assert own.wnids == tuple(ImageNetInfo(subset).label_names())
    assert own.names == tuple(ImageNetInfo(subset).label_descriptions())
    assert own.taken_for is not None and ImageNetInfo(own.taken_for).label_names() == list(own.wnids)


def test_nameless_weights_of_as_many_classes_as_the_data_have_are_assumed_to_be_for_them() -> None:
    network = timm.create_model("test_resnet", num_classes=1000)
    assert classes_of_network(network, 1000, from_hub=False) == Classes(1000)
    own = classes_of_network(network, 1000, from_hub=True)  # these are known to be timm's own
    assert own.wnids == imagenet_wnids("imagenet-1k") and own.taken_for is None
    network = timm.create_model("test_resnet", num_classes=999)
    assert classes_of_network(network, 10, from_hub=False) == Classes(999)


def test_a_record_of_names_is_believed() -> None:
    network = timm.create_model("test_resnet", num_classes=3, pretrained_cfg_overlay={"label_names": ["x", "y", "z"]})
    assert classes_of_network(network, 100, from_hub=False) == Classes(3, ("x", "y", "z"))
    numbers = {"label_names": [str(number) for number in range(1000)]}
    network = timm.create_model("test_resnet", num_classes=1000, pretrained_cfg_overlay=numbers)
    assert classes_of_network(network, 100, from_hub=False) == Classes(1000)
