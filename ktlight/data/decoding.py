"""From encoded bytes to pixels."""

import simplejpeg
import torch
from torch import Tensor

PIXELS = 2
"""Version of how pixels are made, decoding and framing; what was computed from others is never taken for these."""

JPEG_START = b"\xff\xd8\xff"
JPEG_COLORSPACES = ("YCbCr", "RGB", "Gray")  # those that simplejpeg turns into RGB


def decode(encoded: bytes) -> Tensor:
    """Decode a JPEG, PNG, WebP or GIF image (its first frame) to RGB, ``uint8 [3, h, w]``.

    A JPEG goes to simplejpeg, a tenth faster than torchvision with the same pixels. CMYK and damaged ones go to
    torchvision like the other formats: it decodes them, or says what is wrong.

    Raises:
        RuntimeError: The bytes are not a whole image of one of these formats.
    """
    if encoded.startswith(JPEG_START):
        try:
            if simplejpeg.decode_jpeg_header(encoded)[2] in JPEG_COLORSPACES:
                return torch.from_numpy(simplejpeg.decode_jpeg(encoded, "RGB")).permute(2, 0, 1)
        except ValueError:
            pass
    from torchvision.io import ImageReadMode, decode_image  # 1.6 s to import

    if not encoded:
        raise RuntimeError("it is empty")
    image: Tensor = decode_image(torch.frombuffer(bytearray(encoded), dtype=torch.uint8), mode=ImageReadMode.RGB)
    if image.dtype == torch.uint16:
        image = (image.int() // 257).to(torch.uint8)
    return image[0] if image.ndim == 4 else image
