import huggingface_hub.constants
import pytest
import torch
from safetensors.torch import save_file

from ktlight.errors import UserError
from ktlight.models.build import MissingWeights, build_classifier, load_network
from ktlight.models.export import export_classifier
from ktlight.models.spec import ModelConfig
from ktlight.models.zoo import TrainingShare
from tests.models.conftest import images


def build(config, zoo, num_classes=10, fraction=1.0, holdout=0.0, **options):
    return build_classifier(
        config,
        num_classes=num_classes,
        dataset_identity="data",
        share=TrainingShare(fraction, holdout),
        zoo=zoo,
        **options,
    ).eval()


def test_weights_are_never_random(zoo):
    with pytest.raises(
        MissingWeights, match=r"trained weights of vit_b .*checkpoint=FILE.*task=pretrain student=vit_b"
    ):
        build(ModelConfig("vit_b", "vit_base_patch16_224"), zoo)
    with pytest.raises(MissingWeights):  # timm has no weights of it
        build(ModelConfig("plus", "vit_base_patch32_plus_256"), zoo, num_classes=1000, hub_labels=True)


def test_the_zoo_serves_with_the_recorded_preprocessing(zoo, make):
    config = ModelConfig("v", "test_vit", kwargs={"depth": 1})
    trained = make("test_vit", kwargs={"depth": 1})
    zoo.save(trained, config, "data", TrainingShare(), record={})
    found = build(config, zoo, fraction=0.1)
    assert (found.name, found.architecture, found.num_classes) == ("v", "test_vit", 10)
    assert found.weights_hash() == trained.weights_hash()
    torch.testing.assert_close(found(images()), trained(images()), rtol=0, atol=0)


def test_an_explicit_checkpoint_comes_before_the_zoo(zoo, make, tmp_path):
    zoo.save(make(), ModelConfig("r", "test_resnet"), "data", TrainingShare(), record={})
    other = make()
    with torch.no_grad():
        other.network.fc.bias += 1
    export_classifier(other, tmp_path / "other", record={})
    found = build(ModelConfig("r", "test_resnet", checkpoint=str(tmp_path / "other")), zoo)
    assert found.weights_hash() == other.weights_hash()


def test_a_bare_file_has_the_default_size_or_the_one_asked_for(zoo, make, tmp_path):
    path = tmp_path / "w.safetensors"
    save_file(make("test_vit", img_size=48).network.state_dict(), path)
    with pytest.raises(UserError, match="of another shape: pos_embed"):
        build(ModelConfig("v", "test_vit", checkpoint=str(path)), zoo)
    found = build(ModelConfig("v", "test_vit", checkpoint=str(path), img_size=48), zoo)
    assert found.preprocess.input_size == (48, 48)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_position_embeddings_are_resampled_to_the_size_asked_for(zoo, make, tmp_path, kind):
    trained = make("test_vit", img_size=160)
    export_classifier(trained, tmp_path / "v", record={})
    path = tmp_path / "v" / ("model.safetensors" if kind == "file" else "")
    found = build(ModelConfig("v", "test_vit", checkpoint=str(path), img_size=64), zoo)
    assert found.preprocess.input_size == (64, 64)
    assert found(images(2, 64)).shape == (2, 10)
    torch.testing.assert_close(found.network.blocks[0].attn.qkv.weight, trained.network.blocks[0].attn.qkv.weight)
    export_classifier(found, tmp_path / "again", record={})
    again = build(ModelConfig("v", "test_vit", checkpoint=str(tmp_path / "again")), zoo)
    torch.testing.assert_close(again(images(2, 64)), found(images(2, 64)), rtol=0, atol=0)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_another_number_of_classes(zoo, make, tmp_path, kind):
    export_classifier(make(num_classes=7), tmp_path / "r", record={})
    path = tmp_path / "r" / ("model.safetensors" if kind == "file" else "")
    config = ModelConfig("r", "test_resnet", checkpoint=str(path))
    with pytest.raises(UserError, match="weights of r are for 7 classes, but the data has 10"):
        build(config, zoo)
    assert load_network(config, str(path)).num_classes == 7


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_another_architecture(zoo, make, tmp_path, kind):
    export_classifier(make("test_resnet"), tmp_path / "r", record={})
    path = tmp_path / "r" / ("model.safetensors" if kind == "file" else "")
    message = (
        "does not hold the weights of test_vit: missing: " if kind == "file" else "is a test_resnet, not a test_vit"
    )
    with pytest.raises(UserError, match=message):
        build(ModelConfig("v", "test_vit", checkpoint=str(path)), zoo)


def test_a_missing_checkpoint(zoo, tmp_path):
    with pytest.raises(UserError, match="no checkpoint at"):
        build(ModelConfig("v", "test_vit", checkpoint=str(tmp_path / "none.pt")), zoo)


@pytest.mark.parametrize("checkpoint", ["hf-hub:someone/something", None])
def test_without_a_network_the_hub_is_a_clear_error(zoo, monkeypatch, checkpoint, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=r"weights of resnet18 could not be fetched .*offline.*checkpoint=FILE"):
        build(ModelConfig("resnet18", "resnet18", checkpoint=checkpoint), zoo, num_classes=1000, hub_labels=True)
