import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ktlight.errors import UserError
from ktlight.functional.geometry import Framing
from ktlight.models.preprocess import Preprocess
from tests.models.conftest import images

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def test_a_framed_image_is_only_normalised():
    preprocess = Preprocess((32, 32), 0.875, "bicubic", MEAN, STD)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    torch.testing.assert_close(preprocess(images(4, 32)), (images(4, 32) / 255 - mean) / std)


def test_a_square_view_is_resized_whole():
    view = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    view[..., 0] = 255  # the outermost column is there afterwards too: nothing is cut off
    seen = Preprocess((16, 16), 0.5, "bilinear", (0.0,) * 3, (1.0,) * 3)(view)
    assert seen.shape == (1, 3, 16, 16) and seen[..., 0].min() > 0.2 and seen[..., 2:].max() == 0


@settings(deadline=None, max_examples=30)
@given(canvas=st.integers(8, 80), height=st.integers(8, 64), width=st.integers(8, 64))
def test_the_network_always_gets_its_input_size(canvas, height, width):
    preprocess = Preprocess((height, width), 0.9, "bilinear", MEAN, STD)
    assert preprocess(images(1, canvas)).shape == (1, 3, height, width)


def test_settings_come_from_the_network():
    network = timm.create_model("tf_efficientnet_lite1", num_classes=2)
    preprocess = Preprocess.from_network(network)
    assert preprocess.framing == Framing((240, 240), 0.882, "center", "bicubic", (128, 128, 128))
    assert preprocess.mean == network.pretrained_cfg["mean"]
    assert Preprocess.from_network(network, img_size=64, crop_pct=1.0).framing.resized(80, 100) == (64, 80)


def test_crop_mode_and_interpolation_are_kept():
    preprocess = Preprocess.from_network(timm.create_model("test_vit", pretrained=False, pretrained_cfg_overlay={
        "crop_mode": "squash", "interpolation": "bilinear",
    }))  # fmt: skip
    assert (preprocess.framing.crop_mode, preprocess.framing.interpolation) == ("squash", "bilinear")
    assert preprocess.data_config()["crop_mode"] == "squash"


def test_settings_enter_the_text_but_not_the_state_dict():
    preprocess = Preprocess((32, 32), 1.0, "bicubic", MEAN, STD)
    assert preprocess.state_dict() == {}
    others = [
        Preprocess((32, 32), 0.9, "bicubic", MEAN, STD),
        Preprocess((32, 32), 1.0, "bicubic", MEAN, STD, "squash"),
        Preprocess((32, 32), 1.0, "bicubic", MEAN, (0.5,) * 3),
    ]
    assert len({repr(each) for each in (preprocess, *others)}) == 4


def test_images_that_are_not_raw_are_refused():
    with pytest.raises(UserError, match="uint8"):
        Preprocess((32, 32), 1.0, "bicubic", MEAN, STD)(torch.rand(1, 3, 32, 32))


@pytest.mark.parametrize("options", [("lanczos", "center"), ("bicubic", "sqash")])
def test_an_unknown_interpolation_or_crop_mode_is_refused(options):
    interpolation, crop_mode = options
    with pytest.raises(UserError, match=r"unknown (interpolation 'lanczos'|crop_mode 'sqash'.*squash)"):
        Preprocess((32, 32), 1.0, interpolation, MEAN, STD, crop_mode)
