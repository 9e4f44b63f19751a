import numpy as np
import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from timm.data.transforms_factory import transforms_imagenet_eval

from ktlight.errors import UserError
from ktlight.models.preprocess import Preprocess
from tests.models.conftest import images

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def photo(size: int) -> torch.Tensor:
    """A smooth image with an edge, uint8 [3, size, size]."""
    y, x = torch.meshgrid(torch.linspace(0, 6, size), torch.linspace(0, 6, size), indexing="ij")
    channels = torch.stack([torch.sin(x + y), torch.cos(2 * x) * torch.sin(y), torch.sign(x - 3)])
    return ((channels + 1) * 127).to(torch.uint8)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(
    ("canvas", "side", "crop_pct"), [(96, 64, 0.875), (40, 64, 0.875), (64, 64, 1.0), (80, 64, 1.15)]
)
def test_it_is_the_evaluation_transform_of_timm(interpolation, canvas, side, crop_pct):
    image = photo(canvas)
    oracle = transforms_imagenet_eval(side, crop_pct=crop_pct, interpolation=interpolation, mean=MEAN, std=STD)
    expected = oracle(Image.fromarray(np.asarray(image.permute(1, 2, 0))))
    actual = Preprocess((side, side), crop_pct, interpolation, MEAN, STD)(image[None])[0]
    one_level = 1 / 255 / min(STD)  # PIL and torchvision may round to neighbouring levels
    torch.testing.assert_close(actual, expected, atol=1.01 * one_level, rtol=0)
    assert (actual - expected).abs().mean() < 0.05 * one_level


def test_a_canvas_of_the_right_size_is_not_resampled():
    preprocess = Preprocess((32, 32), 1.0, "bicubic", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    torch.testing.assert_close(preprocess(images(4, 32)), images(4, 32) / 255)


@settings(deadline=None, max_examples=30)
@given(canvas=st.integers(8, 80), side=st.integers(8, 64), crop_pct=st.floats(0.5, 1.0))
def test_the_network_always_gets_its_input_size(canvas, side, crop_pct):
    assert Preprocess((side, side), crop_pct, "bilinear", MEAN, STD)(images(1, canvas)).shape == (1, 3, side, side)


def test_a_rectangular_input_is_cut_from_a_square_canvas():
    preprocess = Preprocess((64, 48), 0.5, "bilinear", MEAN, STD)
    assert preprocess.resize_to == 128
    assert preprocess(images(2, 100)).shape == (2, 3, 64, 48)


def test_settings_come_from_the_network():
    network = timm.create_model("tf_efficientnet_lite1", num_classes=2)
    preprocess = Preprocess.from_network(network)
    assert (preprocess.input_size, preprocess.crop_pct, preprocess.interpolation) == ((240, 240), 0.882, "bicubic")
    assert preprocess.resize_to == 272
    assert preprocess.mean == network.pretrained_cfg["mean"]
    assert Preprocess.from_network(network, img_size=64, crop_pct=1.0).resize_to == 64


def test_settings_enter_the_text_but_not_the_state_dict():
    preprocess = Preprocess((32, 32), 1.0, "bicubic", MEAN, STD)
    assert preprocess.state_dict() == {}
    assert repr(preprocess) != repr(Preprocess((32, 32), 0.9, "bicubic", MEAN, STD))


def test_images_that_are_not_raw_are_refused():
    with pytest.raises(UserError, match="uint8"):
        Preprocess((32, 32), 1.0, "bicubic", MEAN, STD)(torch.rand(1, 3, 32, 32))


def test_an_unknown_interpolation_is_refused():
    with pytest.raises(UserError, match="lanczos"):
        Preprocess((32, 32), 1.0, "lanczos", MEAN, STD)
