"""Resizing and cropping: from a decoded image of any size to the pixels that a model sees.

Pixels stay ``uint8``; the model normalises them. Sizes and corners are computed as in timm's evaluation transform and
torchvision, so predictions match those of plain timm.
"""

from dataclasses import dataclass
from math import floor
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

Interpolation = Literal["nearest", "bilinear", "bicubic"]
CropMode = Literal["center", "squash", "border"]
INTERPOLATIONS: tuple[str, ...] = get_args(Interpolation)
CROP_MODES: tuple[str, ...] = get_args(CropMode)

LONGEST_STRIP = 32
"""Images with a larger aspect ratio are cropped to it before they are resized; see :func:`central_strip`."""


def resize(image: Tensor, height: int, width: int, interpolation: Interpolation = "bicubic") -> Tensor:
    """Resize ``uint8 [3, h, w]`` with antialiasing, as Pillow does (within one grey level).

    torch's channels-last kernel is 1.7 times as fast as the other, with the same result. torch selects it by the
    strides, including that of the batch of one, so the batch dimension must be added before the permutation.
    """
    if image.shape[-2:] == (height, width):
        return image
    pixels_BCHW = image.permute(1, 2, 0).contiguous()[None].permute(0, 3, 1, 2)
    if interpolation == "nearest":
        return F.interpolate(pixels_BCHW, size=(height, width), mode="nearest-exact")[0]
    return F.interpolate(pixels_BCHW, size=(height, width), mode=interpolation, antialias=True)[0]


@dataclass(frozen=True)
class Framing:
    """Resizes and crops an image of any size to a model's input size, as timm's evaluation transform does.

    Attributes:
        size: Height and width of the result, in pixels.
        crop_pct: Fraction of the resized image's side that the centre crop keeps.
        crop_mode: ``center`` keeps the aspect ratio and crops the longer side; ``squash`` distorts the image and crops
            nothing; ``border`` keeps the aspect ratio and pads the shorter side.
        interpolation: ``nearest``, ``bilinear`` or ``bicubic``; the last two with antialiasing.
        fill: Pixel values of the border, one per channel.
    """

    size: tuple[int, int]
    crop_pct: float = 1.0
    crop_mode: CropMode = "center"
    interpolation: Interpolation = "bicubic"
    fill: tuple[int, ...] = (0, 0, 0)

    def __call__(self, image: Tensor) -> Tensor:
        """Return ``uint8 [3, *size]`` for ``uint8 [3, h, w]``.

        Floating-point images come from a user's own data set, ready for the network, and pass through unchanged.
        """
        if image.is_floating_point():
            return image
        if self.crop_mode == "center":
            image = central_strip(image)
        image = resize(image, *self.resized(*image.shape[-2:]), self.interpolation)
        fill = self.fill if self.crop_mode == "border" else (0,) * len(self.fill)
        return center_crop_or_pad(image, self.size, fill)

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """Return the height and width that an image is resized to before it is cropped."""
        wanted = [floor(side / self.crop_pct) for side in self.size]
        if self.crop_mode == "squash":
            return wanted[0], wanted[1]
        if self.crop_mode == "center" and wanted[0] == wanted[1]:
            short, long = sorted((height, width))
            longer = int(wanted[0] * long / short)
            return (wanted[0], longer) if height <= width else (longer, wanted[0])
        ratios = height / wanted[0], width / wanted[1]
        ratio = max(ratios) if self.crop_mode == "border" else min(ratios)
        # timm rounds; an image far longer than wide would be left without a single row
        return max(1, round(height / ratio)), max(1, round(width / ratio))


FEATURES = Framing((0, 0))
"""Stands for the framing of a classifier that takes stored features in place of images: `ktlight.models.head`."""


def central_strip(image: Tensor) -> Tensor:
    """Return the middle of ``[3, h, w]``, at most `LONGEST_STRIP` times as long as wide.

    The centre crop would discard the rest anyway, but only after enlarging it: 1 x 20,000 pixels would take gigabytes.
    """
    height, width = image.shape[-2:]
    most = LONGEST_STRIP * min(height, width)
    return image if max(height, width) <= most else center_crop_or_pad(image, (min(height, most), min(width, most)))


def center_crop_or_pad(image: Tensor, size: tuple[int, int], fill: tuple[int, ...] = (0, 0, 0)) -> Tensor:
    """Return the centre of ``uint8 [3, h, w]``, ``[3, *size]``, padded where the image is too small.

    Args:
        image: The image.
        size: Height and width, in pixels.
        fill: Pixel values of the border, one per channel.
    """
    missing = [max(0, wanted - there) for wanted, there in zip(size, image.shape[-2:], strict=True)]
    if any(missing):
        padded = [there + more for there, more in zip(image.shape[-2:], missing, strict=True)]
        canvas = torch.tensor(fill, dtype=image.dtype)[:, None, None].repeat(1, *padded)
        top, left = (more // 2 for more in missing)
        canvas[:, top : top + image.shape[-2], left : left + image.shape[-1]] = image
        image = canvas
    # Python rounds halves to even, as torchvision and timm do for corners
    top, left = (round((there - wanted) / 2) for there, wanted in zip(image.shape[-2:], size, strict=True))
    return image[:, top : top + size[0], left : left + size[1]]
