"""Decoding, against Pillow."""

import contextlib
import io

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.io import ImageReadMode, decode_jpeg

from ktlight.data.decoding import DecodeError, decode, is_rotated

from .conftest import encode, random_pixels

KINDS = ["PNG RGB", "PNG L", "PNG LA", "PNG RGBA", "PNG P", "JPEG RGB", "JPEG L", "JPEG CMYK", "WEBP RGB", "GIF P"]
KINDS += ["BMP RGB", "BMP P", "TIFF RGB", "TIFF L", "TIFF CMYK", "TIFF 1", "PPM RGB", "PPM L"]


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


@pytest.mark.parametrize("format", ["PNG", "TIFF", "PPM"])
def test_decodes_sixteen_bits_to_eight(format):
    deep = np.array([[0, 257, 65535]], np.uint16)
    assert decode(encode(deep, format)).tolist() == [[[0, 1, 255]]] * 3


def test_pixels_without_a_range_are_refused():
    with pytest.raises(DecodeError, match="32-bit numbers"):
        decode(encode(np.array([[0.5, 1000]], np.float32), "TIFF"))


@pytest.mark.parametrize(
    "broken",
    [b"", b"text", *(encode(random_pixels(0), format)[:200] for format in ("PNG", "JPEG", "BMP", "TIFF"))],
)
def test_broken_bytes(broken):
    with pytest.raises(DecodeError, match=r"^[^\n]{5,}$"):
        decode(broken)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_exif_orientation_is_ignored_as_in_torchvision_and_told(format):
    image = Image.fromarray(random_pixels(0))
    exif = image.getexif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    image.save(stream, format, exif=exif)
    expected = np.asarray(Image.open(stream).convert("RGB"))  # torchvision's loader
    np.testing.assert_array_equal(decode(stream.getvalue()).permute(1, 2, 0), expected)
    assert expected.shape == random_pixels(0).shape
    assert is_rotated(stream.getvalue())
    assert not any(map(is_rotated, (b"", b"text", encode(random_pixels(0), format), stream.getvalue()[:20])))


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_damage_never_ends_the_process(format):
    good = encode(np.asarray(Image.fromarray(random_pixels(0)).resize((64, 48))), format)
    random = np.random.default_rng(0)
    for start in random.integers(8, len(good), 60):
        damaged = bytearray(good)
        damaged[start : start + 300] = bytes(len(damaged[start : start + 300]))
        with contextlib.suppress(DecodeError):
            assert decode(bytes(damaged)).dtype == torch.uint8
