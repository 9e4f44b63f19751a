import copy

import huggingface_hub.constants
import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.data import ImageNetInfo

from ktlight.data.dataset import numbered_classes
from ktlight.errors import UserError
from ktlight.models import hub
from ktlight.models.build import build_classifier, load_network, provenance_of
from ktlight.models.export import export_classifier
from ktlight.models.facts import line
from ktlight.models.label_map import LabelMap
from ktlight.models.label_spaces import ForeignClasses
from ktlight.models.provenance import Provenance
from ktlight.models.slicing import slice_head
from ktlight.models.spec import ModelConfig
from tests.models.conftest import images


def build(config, class_names=None, wnids=None, learns=False):
    names = class_names or numbered_classes(10)
    return build_classifier(config, provenance_of(config), class_names=names, wnids=wnids, learns=learns).eval()


def test_a_folder_serves_with_the_recorded_preprocessing(make, tmp_path):
    trained = make("test_vit", kwargs={"depth": 1})
    export_classifier(trained, tmp_path / "v", record={})
    found = build(ModelConfig("v", "test_vit", checkpoint=str(tmp_path / "v")))
    assert (found.name, found.architecture, found.num_classes) == ("v", "test_vit", 10)
    assert found.weights_hash() == trained.weights_hash()
    assert found.provenance == Provenance("checkpoint", str(tmp_path / "v")) and found.class_names is None
    torch.testing.assert_close(found(images()), trained(images()), rtol=0, atol=0)


def test_what_is_said_of_the_preprocessing_takes_the_place_of_the_record(make, tmp_path):
    export_classifier(make("test_resnet"), tmp_path / "r", record={})
    said = {"img_size": 48, "crop_pct": 0.75, "crop_mode": "squash", "interpolation": "nearest", "mean": 0.25}
    config = ModelConfig("r", "test_resnet", checkpoint=str(tmp_path / "r"), std=[0.1, 0.2, 0.3], **said)
    network = timm.create_model(f"local-dir:{tmp_path / 'r'}", pretrained=True)
    expected = timm.data.create_transform(
        48, crop_pct=0.75, crop_mode="squash", interpolation="nearest", mean=(0.25,) * 3, std=(0.1, 0.2, 0.3)
    )
    found = build(config)
    export_classifier(found, tmp_path / "again", record={})
    again = timm.create_model(f"local-dir:{tmp_path / 'again'}", pretrained=True)
    assert str(timm.data.create_transform(**timm.data.resolve_model_data_config(again))) == str(expected)
    assert str(timm.data.create_transform(**timm.data.resolve_model_data_config(network))) != str(expected)
    assert line("student", found).endswith("; 48 px, crop 0.75 squash, nearest, mean 0.25, std 0.1/0.2/0.3")
    with pytest.raises(UserError, match=r"unknown crop_mode 'centre': choose one of .* Did you mean center"):
        build(ModelConfig("r", "test_resnet", checkpoint=str(tmp_path / "r"), crop_mode="centre"))


CLASSES = ["ant", "bee", "cat", "dog", "elk"]


@pytest.mark.parametrize("architecture", ["test_resnet", "test_vit", "test_convnext", "test_mambaout"])
def test_classes_in_another_order_are_put_into_the_order_of_the_data(make, tmp_path, architecture):
    """A model with its classes in order 3 0 4 1 2 answers as its twin in the data's order; sliced, bit for bit.

    Some CPUs round a class by its place among the head's rows, so what is mapped after the head may differ by that.
    """
    twin = make(architecture, num_classes=5)
    export_classifier(twin, tmp_path / "twin", record={}, class_names=CLASSES)
    permuted, order = make(architecture, num_classes=5), [3, 0, 4, 1, 2]
    slice_head(permuted, LabelMap([order.index(number) for number in range(5)], 5, "permuted"))
    export_classifier(permuted, tmp_path / "permuted", record={}, class_names=[CLASSES[number] for number in order])
    torch.testing.assert_close(permuted(images()), twin(images())[:, order])

    configs = [ModelConfig("m", architecture, checkpoint=str(tmp_path / name)) for name in ("twin", "permuted")]
    same, mapped = (build(config, CLASSES) for config in configs)
    sliced = build(configs[1], CLASSES, learns=True)
    assert same.class_names == mapped.class_names == sliced.class_names == tuple(CLASSES)
    assert [model.labels["how"] for model in (same, mapped, sliced)] == ["same", "permuted", "permuted"]
    assert same.weights_hash() == sliced.weights_hash() == twin.weights_hash() != mapped.weights_hash()
    assert all(torch.equal(model(images()), twin(images())) for model in (same, sliced))
    torch.testing.assert_close(mapped(images()), twin(images()))
    export_classifier(sliced, tmp_path / "again", record={}, class_names=CLASSES)
    again = timm.create_model(f"local-dir:{tmp_path / 'again'}", pretrained=True)
    assert again.pretrained_cfg["label_names"] == CLASSES


def test_other_classes_are_an_error_and_numbers_are_no_names(make, tmp_path):
    export_classifier(make(num_classes=5), tmp_path / "r", record={}, class_names=CLASSES)
    config = ModelConfig("r", "test_resnet", checkpoint=str(tmp_path / "r"))
    with pytest.raises(ForeignClasses, match=r"labels=names covers 2 of 5 \(without eel, bird, auk\) \(more than half"):
        build(config, ["eel", "bird", "cat", "dog", "auk"])
    unknown = build(config, numbered_classes(5))
    assert unknown.class_names is None and unknown.label_map is None
    export_classifier(make(num_classes=5), tmp_path / "n", record={}, class_names=numbered_classes(5))
    assert build(ModelConfig("r", "test_resnet", checkpoint=str(tmp_path / "n")), CLASSES).class_names is None


def test_a_model_named_by_wordnet_ids_fits_data_that_give_them_words(make, tmp_path):
    ids = [f"n0000000{number}" for number in range(5)]
    classifier = make("test_resnet", num_classes=5)
    export_classifier(classifier, tmp_path / "r", record={}, class_names=ids)
    config = ModelConfig("r", "test_resnet", checkpoint=str(tmp_path / "r"))
    same, turned = build(config, CLASSES, wnids=ids), build(config, CLASSES[::-1], wnids=ids[::-1])
    assert same.class_names == tuple(CLASSES) and turned.class_names == tuple(CLASSES[::-1])
    torch.testing.assert_close(turned(images()), same(images()).flip(1))
    other = build(config, CLASSES, wnids=[*ids[:4], "n00000009"])
    assert (other.labels["how"], other.labels["missing"]) == ("synset", ["elk"])
    export_classifier(classifier, tmp_path / "words", record={}, class_names=CLASSES)
    assert build(ModelConfig("r", "test_resnet", checkpoint=str(tmp_path / "words")), CLASSES, wnids=ids).class_names


def test_a_model_of_the_same_data_answers_in_their_labels_whatever_they_were_called(make, tmp_path):
    export_classifier(make(num_classes=5), tmp_path / "r", record={}, class_names=CLASSES)
    config = ModelConfig("r", "test_resnet", checkpoint=str(tmp_path / "r"))
    provenance = Provenance("zoo", "r", data="identity")
    others = CLASSES[::-1]
    renamed = build_classifier(config, provenance, class_names=others, data_identity="identity")
    elsewhere = build_classifier(config, provenance, class_names=others, data_identity="another")
    assert renamed.class_names == elsewhere.class_names == tuple(others)
    assert renamed.label_map is None
    assert torch.equal(renamed.eval()(images()), elsewhere.eval()(images()).flip(1))


def test_the_hubs_imagenet_models_name_their_classes(monkeypatch):
    imagenet = ImageNetInfo("imagenet-1k")
    network = timm.create_model("test_resnet")
    monkeypatch.setattr(hub, "load_from_hub", lambda config, source: copy.deepcopy(network))
    config, ids = ModelConfig("r", "test_resnet"), imagenet.label_names()
    assert build(config, ids).class_names == tuple(ids)
    assert build(config, imagenet.label_descriptions()).class_names == tuple(imagenet.label_descriptions())
    assert torch.equal(build(config, ids[::-1])(images()), build(config, ids)(images()).flip(1))
    assert build(config, ["n00000000", *ids[1:]]).labels["missing"] == ["n00000000"]
    assert build(config, numbered_classes(1000)).class_names is None
    assert build(config, ids).provenance == Provenance("hub", "timm/test_resnet.r160_in1k", licence="apache-2.0")


def test_a_bare_file_has_the_default_size_or_the_one_asked_for(make, tmp_path):
    path = tmp_path / "w.safetensors"
    save_file(make("test_vit", img_size=48).network.state_dict(), path)
    with pytest.raises(UserError, match="of another shape: pos_embed"):
        build(ModelConfig("v", "test_vit", checkpoint=str(path)))
    found = build(ModelConfig("v", "test_vit", checkpoint=str(path), img_size=48))
    assert found.framing.size == (48, 48)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_position_embeddings_are_resampled_to_the_size_asked_for(make, tmp_path, kind):
    trained = make("test_vit", img_size=160)
    export_classifier(trained, tmp_path / "v", record={})
    path = tmp_path / "v" / ("model.safetensors" if kind == "file" else "")
    found = build(ModelConfig("v", "test_vit", checkpoint=str(path), img_size=64))
    assert found.framing.size == (64, 64)
    assert found(images(2, 64)).shape == (2, 10)
    torch.testing.assert_close(found.network.blocks[0].attn.qkv.weight, trained.network.blocks[0].attn.qkv.weight)
    export_classifier(found, tmp_path / "again", record={})
    again = build(ModelConfig("v", "test_vit", checkpoint=str(tmp_path / "again")))
    torch.testing.assert_close(again(images(2, 64)), found(images(2, 64)), rtol=0, atol=0)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_another_number_of_classes(make, tmp_path, kind):
    export_classifier(make(num_classes=7), tmp_path / "r", record={})
    path = tmp_path / "r" / ("model.safetensors" if kind == "file" else "")
    config = ModelConfig("r", "test_resnet", checkpoint=str(path))
    with pytest.raises(UserError, match=r"weights of r are for 7 classes, but the data has 10.*no names to compare"):
        build(config)
    assert load_network(config, str(path)).num_classes == 7


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_another_architecture(make, tmp_path, kind):
    export_classifier(make("test_resnet"), tmp_path / "r", record={})
    path = tmp_path / "r" / ("model.safetensors" if kind == "file" else "")
    message = (
        "does not hold the weights of test_vit: missing: " if kind == "file" else "is a test_resnet, not a test_vit"
    )
    with pytest.raises(UserError, match=message):
        build(ModelConfig("v", "test_vit", checkpoint=str(path)))


def test_a_missing_checkpoint(tmp_path):
    with pytest.raises(UserError, match="no checkpoint at"):
        build(ModelConfig("v", "test_vit", checkpoint=str(tmp_path / "none.pt")))


@pytest.mark.parametrize("checkpoint", ["hf-hub:someone/something", None])
def test_without_a_network_the_hub_is_a_clear_error(monkeypatch, checkpoint, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=r"weights of resnet18 could not be fetched .*offline.*checkpoint=FILE"):
        build(ModelConfig("resnet18", "resnet18", checkpoint=checkpoint), numbered_classes(1000))
