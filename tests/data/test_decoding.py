import io

import numpy as np
import pytest
import torch
from ktlight.data.geometry import decode, resize, to_canvas
from PIL import Image
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.transforms import v2

from .conftest import encode, random_pixels

KINDS = ["PNG RGB", "PNG L", "PNG LA", "PNG RGBA", "PNG P", "JPEG RGB", "JPEG L", "JPEG CMYK", "WEBP RGB", "GIF P"]


@pytest.mark.parametrize("format, mode", [kind.split() for kind in KINDS])
def test_decodes_as_pillow_does(format, mode):
    stream = io.BytesIO()
    Image.fromarray(random_pixels(0)).convert(mode).save(stream, format)
    expected = np.asarray(Image.open(stream).convert("RGB"))
    np.testing.assert_array_equal(decode(stream.getvalue()).permute(1, 2, 0), expected)


@pytest.mark.parametrize("options", [{"subsampling": 0}, {"subsampling": 2}, {"progressive": True}, {"keep_rgb": True}])
def test_jpeg_pixels_are_torchvisions(options):
    stream = io.BytesIO()
    smooth = Image.fromarray(random_pixels(4, 6, 7)).resize((61, 45))
    smooth.save(stream, "JPEG", quality=80, **options)
    encoded = stream.getvalue()
    expected = decode_jpeg(torch.frombuffer(bytearray(encoded), dtype=torch.uint8), ImageReadMode.RGB)
    assert torch.equal(decode(encoded), expected)


def test_decodes_sixteen_bits_to_eight():
    deep = np.array([[0, 257, 65535]], np.uint16)
    assert decode(encode(deep))[0].tolist() == [[0, 1, 255]]


@pytest.mark.parametrize(
    "broken", [b"", b"text", encode(random_pixels(0))[:100], encode(random_pixels(0), "JPEG")[:200]]
)
def test_broken_bytes(broken):
    with pytest.raises(RuntimeError):
        decode(broken)


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [(8, 8), (31, 45)])
def test_resizes_as_pillow_does_in_any_memory_layout(size, interpolation):
    pixels = random_pixels(1, 20, 30)
    method = Image.Resampling[interpolation.upper()]
    expected = np.asarray(Image.fromarray(pixels).resize(size[::-1], method)).astype(int)
    image = torch.from_numpy(pixels).permute(2, 0, 1)
    resized = resize(image, *size, interpolation)
    assert abs(resized.permute(1, 2, 0).numpy() - expected).max() <= 1
    assert torch.equal(resized, resize(image.contiguous(), *size, interpolation))


@pytest.mark.parametrize("shape", [(20, 30), (31, 20), (16, 16), (17, 40), (5, 6)])
def test_canvas_equals_torchvision(shape):
    image = torch.from_numpy(random_pixels(2, *shape)).permute(2, 0, 1)
    expected = v2.Compose([v2.Resize(16, v2.InterpolationMode.BICUBIC, antialias=True), v2.CenterCrop(16)])(image)
    assert torch.equal(to_canvas(image, 16), expected)


def test_canvas_of_its_own_size_is_the_image():
    image = torch.from_numpy(random_pixels(3, 16, 16)).permute(2, 0, 1)
    assert torch.equal(to_canvas(image, 16), image)


def test_floats_pass_through():
    image = torch.randn(3, 5, 7)
    assert to_canvas(image, 16) is image
