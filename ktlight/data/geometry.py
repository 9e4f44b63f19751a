"""From encoded bytes to a square canvas: decoding, resizing, cropping. No randomness here."""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


def decode(encoded: bytes) -> Tensor:
    """Decode a JPEG, PNG, WebP or GIF image (its first frame) to RGB, ``uint8 [3, h, w]``.

    Raises:
        RuntimeError: The bytes are not a whole image of one of these formats.
    """
    from torchvision.io import ImageReadMode, decode_image  # 1.6 s to import

    if not encoded:
        raise RuntimeError("it is empty")
    image: Tensor = decode_image(torch.frombuffer(bytearray(encoded), dtype=torch.uint8), mode=ImageReadMode.RGB)
    if image.dtype == torch.uint16:
        image = (image.int() // 257).to(torch.uint8)
    return image[0] if image.ndim == 4 else image


def resize(image: Tensor, height: int, width: int) -> Tensor:
    """Resize ``uint8 [3, h, w]`` with antialiased bicubic interpolation, as Pillow does (within one grey level)."""
    return F.interpolate(image[None], size=(height, width), mode="bicubic", antialias=True)[0]


def to_canvas(image: Tensor, canvas: int) -> Tensor:
    """Resize the short side of ``uint8 [3, h, w]`` to ``canvas`` pixels and cut out the centre, as torchvision does.

    Floating-point images are a user's own, ready for the network, and pass through untouched.
    """
    if image.is_floating_point():
        return image
    height, width = image.shape[-2:]
    if min(height, width) != canvas:
        scale = canvas / min(height, width)
        height, width = max(canvas, int(height * scale)), max(canvas, int(width * scale))
        image = resize(image, height, width)
    top, left = round((height - canvas) / 2), round((width - canvas) / 2)
    return image[:, top : top + canvas, left : left + canvas]
