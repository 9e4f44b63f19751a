import pytest
import torch

from ktlight.errors import UserError
from ktlight.models.build import new_classifier
from ktlight.models.libraries.library import resolve
from ktlight.models.network import create_network, recorded_config, set_input_size, training_size
from ktlight.models.spec import ModelConfig
from tests.models.conftest import images


def config(name: str, **fields) -> ModelConfig:
    return ModelConfig(name, resolve(name), **fields)


@pytest.mark.parametrize(
    "name",
    ["test_vit", "test_convnext", "test_mambaout", "mobilenetv3_s", "vit_t", "swin_t", "mixer_s16_224", "resmlp_12"],
)
def test_each_family_takes_small_images(name):
    classifier = new_classifier(config(name), num_classes=3, native_size=32).eval()
    with torch.no_grad():
        assert classifier(images(2, 32)).shape == (2, 3)
    assert classifier.framing.size == (32, 32)
    assert classifier.framing.crop_pct == 1


@pytest.mark.parametrize(
    ("name", "native_size", "expected"),
    [("test_vit", 8, 32), ("resnet18", 28, 32), ("resnet18", 64, 64), ("resnet18", 65, 96), ("vit_b", 500, 224),
     ("test_vit", 500, 160), ("halonet26t", 32, 256)],
)  # fmt: skip
def test_training_size(name, native_size, expected):
    assert training_size(resolve(name), native_size) == expected


def test_an_explicit_size_wins():
    classifier = new_classifier(config("test_vit", img_size=48), num_classes=3, native_size=32)
    assert classifier.framing.size == (48, 48)


def test_constructor_arguments_arrive():
    network = create_network(config("test_vit", kwargs={"depth": 1, "patch_size": 8}), 3, img_size=32, in_chans=1)
    assert len(network.blocks) == 1
    assert network(torch.zeros(1, 1, 32, 32)).shape == (1, 3)
    assert network.patch_embed.num_patches == 16


@pytest.mark.parametrize("kwargs", [{"dpth": 1}, {"patch_size": "eight"}])
def test_a_wrong_constructor_argument(kwargs):
    with pytest.raises(UserError, match=f"cannot make test_vit with .*{next(iter(kwargs))}"):
        create_network(config("test_vit", kwargs=kwargs), 3)


def test_an_unknown_tag_suggests_the_nearest():
    with pytest.raises(UserError, match=r"no model resnet50\.a1_in2k.* Did you mean resnet50\.a1_in1k"):
        recorded_config("resnet50.a1_in2k")


def test_another_input_size_keeps_the_function_of_the_weights():
    network = create_network(config("test_vit"), 3, img_size=64)
    before = network.pos_embed.clone()
    set_input_size(network, 64)
    torch.testing.assert_close(network.pos_embed, before)
    set_input_size(network, 32)
    assert network(torch.zeros(1, 3, 32, 32)).shape == (1, 3)


def test_a_mixer_takes_no_other_input_size():
    with pytest.raises(UserError, match="MlpMixer takes only its own input size"):
        set_input_size(create_network(config("mixer_s16_224"), 3, img_size=32), 64)
