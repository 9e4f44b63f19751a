"""From encoded bytes to pixels."""

import io

import numpy as np
import simplejpeg
import torch
from torch import Tensor

PIXELS = 2
"""Version of pixel processing (decoding and framing), part of the key of everything computed from pixels."""

JPEG_START = b"\xff\xd8\xff"
JPEG_COLORSPACES = ("YCbCr", "RGB", "Gray")  # those that simplejpeg converts to RGB
TORCHVISION_STARTS = (JPEG_START, b"RIFF")
ORIENTATION = 0x0112


class DecodeError(RuntimeError):
    """The bytes are not a complete image; the message says why."""


def decode(encoded: bytes) -> Tensor:
    """Decode an image of any format that Pillow reads (of several frames the first) to RGB, ``uint8 [3, h, w]``.

    The pixels equal Pillow's, with 16 bits reduced to 8. JPEG is decoded by simplejpeg, a tenth faster than torchvision
    with the same pixels; CMYK and damaged JPEGs by torchvision, and so is WebP, twice as fast as with Pillow. All other
    formats are decoded by Pillow: torchvision does not support BMP and TIFF, and crashes on a damaged PNG with a
    segmentation fault (0.29).

    EXIF orientation is ignored, as in timm and torchvision's ``ImageFolder``, so that a network sees the same images as
    there; a TIFF's own orientation is not, since Pillow applies it.

    Raises:
        DecodeError: If the bytes are not a complete image.
    """
    if not encoded:
        raise DecodeError("it is empty")
    if encoded.startswith(JPEG_START):
        try:
            if simplejpeg.decode_jpeg_header(encoded)[2] in JPEG_COLORSPACES:
                return torch.from_numpy(simplejpeg.decode_jpeg(encoded, "RGB")).permute(2, 0, 1)
        except ValueError:
            pass
    return _by_torchvision(encoded) if encoded.startswith(TORCHVISION_STARTS) else _by_pillow(encoded)


def is_rotated(encoded: bytes) -> bool:
    """Whether an image carries an EXIF orientation that :func:`decode` ignores. Only its header is read."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(encoded)) as image:
            return image.format != "TIFF" and image.getexif().get(ORIENTATION, 1) not in (0, 1)
    except Exception:  # whatever a damaged header makes Pillow raise: decoding the image says so better
        return False


def _by_torchvision(encoded: bytes) -> Tensor:
    from torchvision.io import ImageReadMode, decode_image  # 1.6 s to import

    try:
        image: Tensor = decode_image(torch.frombuffer(bytearray(encoded), dtype=torch.uint8), mode=ImageReadMode.RGB)
    except RuntimeError as error:
        raise DecodeError(
            str(error).rsplit(": ", maxsplit=1)[-1].split(", ", maxsplit=2)[-1].splitlines()[0]
        ) from error
    return image[0] if image.ndim == 4 else image  # an animation: its first frame


def _by_pillow(encoded: bytes) -> Tensor:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(encoded)) as image:
            if image.mode.startswith("I;16") or (image.mode, image.format) == ("I", "PPM"):  # 16 bits of grey
                return torch.from_numpy((np.asarray(image) // 257).astype(np.uint8)).expand(3, -1, -1)
            if image.mode in ("I", "F"):
                raise DecodeError(f"its pixels are 32-bit numbers (mode {image.mode}): convert them to 8 bits")
            return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)
    except UnidentifiedImageError as error:
        raise DecodeError("it is no image of a known format") from error
    except DecodeError:
        raise
    except Exception as error:  # Pillow's readers raise whatever a damaged file leads them to
        raise DecodeError(str(error).splitlines()[0] if str(error) else type(error).__name__) from error
