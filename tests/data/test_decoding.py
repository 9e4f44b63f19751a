import io

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.io import ImageReadMode, decode_jpeg

from ktlight.data.decoding import decode

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
