import pytest
import torch

from ktlight.data.dataset import numbered_classes
from ktlight.errors import UserError
from ktlight.models.export import export_classifier
from ktlight.models.names import ALIASES
from ktlight.models.network import classifier_layers
from ktlight.models.spec import ModelConfig
from ktlight.models.starting import head_parameters, starting_classifier
from tests.models.conftest import images

NAMES = [f"class {number}" for number in range(5)]


def start(config, **options):
    return starting_classifier(config, **{"init": "scratch", "class_names": NAMES, "native_size": 32, **options})


def test_from_scratch_the_size_is_that_of_the_images():
    assert start(ModelConfig("r", "test_resnet")).framing.size == (32, 32)


@pytest.mark.parametrize("num_classes", [5, 10])
def test_a_checkpoint_for_other_classes_gets_a_new_head(make, tmp_path, num_classes):
    trained, names = make("test_vit", img_size=64), numbered_classes(num_classes)
    export_classifier(trained, tmp_path / "v", record={})
    classifier = start(ModelConfig("v", "test_vit", checkpoint=str(tmp_path / "v")), class_names=names).eval()
    assert classifier.num_classes == num_classes
    assert classifier(images()).shape == (4, num_classes)
    assert repr(classifier.preprocess) == repr(trained.preprocess)
    own, before = classifier.network.state_dict(), trained.network.state_dict()
    head = {"head.weight", "head.bias"}
    for name in own.keys() - (head if num_classes != 10 else set()):
        torch.testing.assert_close(own[name], before[name])
    export_classifier(classifier, tmp_path / "again", record={})
    again = start(ModelConfig("v", "test_vit", checkpoint=str(tmp_path / "again")), class_names=names).eval()
    torch.testing.assert_close(again(images()), classifier(images()))


def test_classes_that_are_found_keep_their_rows_and_others_get_a_new_head(make, tmp_path):
    trained = make(num_classes=5)
    export_classifier(trained, tmp_path / "r", record={}, class_names=NAMES)
    config = ModelConfig("r", "test_resnet", checkpoint=str(tmp_path / "r"))
    torch.testing.assert_close(start(config).network.fc.weight, trained.network.fc.weight)
    torch.testing.assert_close(
        start(config, class_names=NAMES[::-1]).network.fc.weight, trained.network.fc.weight.flip(0)
    )
    most = start(config, class_names=[*NAMES[:4], "another"])
    torch.testing.assert_close(most.network.fc.weight[:4], trained.network.fc.weight[:4])
    torch.testing.assert_close(most.network.fc.weight[4], trained.network.fc.weight.mean(0))
    few = start(config, class_names=["class 3", "class 1", "class 4"])
    torch.testing.assert_close(few.network.fc.weight, trained.network.fc.weight[[3, 1, 4]])
    assert (few.num_classes, few.labels["sliced"], few.labels["how"]) == (3, True, "names")
    other = start(config, class_names=[*NAMES[:2], "another", "more", "most"])
    assert not torch.allclose(other.network.fc.weight[:2], trained.network.fc.weight[:2])
    assert other.labels["how"] == "same"
    torch.testing.assert_close(other.network.conv1[0].weight, trained.network.conv1[0].weight)


def test_the_head_is_the_last_layer():
    classifier = start(ModelConfig("r", "test_resnet"))
    assert head_parameters(classifier) == {"fc.weight", "fc.bias"}
    for name in head_parameters(classifier):
        assert len(classifier.network.get_parameter(name)) == 5


def test_every_alias_has_a_head():
    assert all(classifier_layers(architecture) for architecture in ALIASES.values())


def test_an_unknown_start_is_refused():
    with pytest.raises(UserError, match=r"unknown pretrain\.init 'hubb'"):
        start(ModelConfig("r", "test_resnet"), init="hubb")
