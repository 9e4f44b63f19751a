"""Augmented views: each a pure function of (seed, view, network, row), so it can be drawn again anywhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, log
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor

from ktlight.errors import UserError
from ktlight.functional.geometry import resize
from ktlight.functional.randomness import VIEW_STREAM, IntArray, random_uniform
from ktlight.limits import POSITIVE, Share

CROP_ATTEMPTS = 10
DRAWS_PER_ROW = 4 * CROP_ATTEMPTS + 1

Uniforms = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Augment:
    """The augmentation of a view.

    Attributes:
        kind: ``none`` (the plain image, ignoring the other fields), ``pad_crop`` (the canvas, zero-padded on every side
            and cropped back at a random position) or ``resized_crop`` (a random crop of the original image, resized to
            the canvas with antialiased bilinear, like torchvision's ``RandomResizedCrop``).
        padding: For ``pad_crop``, pixels on every side as a fraction of the canvas; 0.125 is the usual 4 pixels of 32.
        flip: Whether to flip horizontally with probability 1/2.
        scale: For ``resized_crop``, the minimum and maximum fraction of the image's area.
        ratio: For ``resized_crop``, the minimum and maximum width / height.

    Raises:
        UserError: A field is out of its range.
    """

    kind: Literal["none", "pad_crop", "resized_crop"] = "none"
    padding: Share = 0.125
    flip: bool = False
    scale: Sequence[float] = (0.08, 1.0)
    ratio: Sequence[float] = (3 / 4, 4 / 3)

    def __post_init__(self) -> None:
        if not _is_range(self.scale, 1):
            raise UserError(
                f"data.augment.scale must be two shares of the area, 0 < least <= largest <= 1, not {self.scale}."
            )
        if not _is_range(self.ratio, inf):
            raise UserError(
                f"data.augment.ratio must be two values of width / height, 0 < least <= largest, not {self.ratio}."
            )

    @property
    def description(self) -> str:
        """All fields, and how pixels are made where that once was different; part of a stored view's key."""
        return f"{self} bilinear" if self.kind == "resized_crop" else str(self)


def _is_range(pair: Sequence[float], most: float) -> bool:
    return (
        isinstance(pair, Sequence) and len(pair) == 2 and all(map(POSITIVE.holds, pair)) and pair[0] <= pair[1] <= most
    )


def view_uniforms(seed: int, view: int, rows_B: IntArray, network: int = 0) -> Uniforms:
    """Return the random numbers that decide a view of each row, ``[B, DRAWS_PER_ROW]`` in [0, 1).

    Every network that learns may have its own view; that of network 0 does not depend on the number of networks.
    """
    peer = (network,) if network else ()
    return random_uniform(VIEW_STREAM, seed, view, *peer, rows_B[:, None], np.arange(DRAWS_PER_ROW))


def shifts(uniforms_BD: Uniforms, padding: int, augment: Augment) -> tuple[IntArray, IntArray, npt.NDArray[np.bool_]]:
    """Return the top and left corners of ``pad_crop`` in the padded images, ``int64 [B]``, and whether to flip them."""
    top_B, left_B = (uniforms_BD[:, :2] * (2 * padding + 1)).astype(np.int64).T
    return top_B, left_B, (uniforms_BD[:, -1] < 0.5) & augment.flip


def pad_crop(images_BCHW: Pixels, uniforms_BD: Uniforms, augment: Augment) -> Pixels:
    """Shift each image, ``uint8 [B, 3, H, H]``, by at most the padding, filling with zeros, and maybe flip it.

    In NumPy: torch's threads cost more here than they save (2 ms against up to 40 ms on two busy cores, 256 x 32 px).
    """
    size = images_BCHW.shape[-1]
    padding = round(augment.padding * size)
    top_B, left_B, mirrored_B = shifts(uniforms_BD, padding, augment)
    padded = np.pad(images_BCHW, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = sliding_window_view(padded, (size, size), axis=(2, 3))  # [B, 3, places, places, H, H], no copy
    crops = windows[np.arange(len(padded)), :, top_B, left_B]
    return np.where(mirrored_B[:, None, None, None], crops[..., ::-1], crops) if augment.flip else crops


def gather_pad_crop(images_NCHW: Tensor, places_4B: Tensor, padding: int) -> Tensor:
    """Return the pixels of :func:`pad_crop`, gathered from a whole split by whatever device holds it.

    Args:
        images_NCHW: ``uint8 [n, 3, H, H]``.
        places_4B: ``int64``, for each sample its slot among the images, then top, left and mirrored of :func:`shifts`.
        padding: In pixels.
    """
    size = images_NCHW.shape[-1]
    slot_B, top_B, left_B, mirrored_B = places_4B
    steps = torch.arange(size, device=images_NCHW.device)
    row_BH = steps + top_B[:, None] - padding
    column_BW = torch.where(mirrored_B[:, None] > 0, steps.flip(0), steps) + left_B[:, None] - padding
    inside_BHW = ((row_BH >= 0) & (row_BH < size))[:, :, None] & ((column_BW >= 0) & (column_BW < size))[:, None]
    crops_BCHW: Tensor = images_NCHW[
        slot_B[:, None, None, None],
        torch.arange(images_NCHW.shape[1], device=images_NCHW.device)[:, None, None],
        row_BH.clamp(0, size - 1)[:, None, :, None],
        column_BW.clamp(0, size - 1)[:, None, None, :],
    ]
    return crops_BCHW.mul_(inside_BHW[:, None])


def resized_crop(image: Tensor, uniforms_D: Uniforms, augment: Augment, canvas: int) -> Tensor:
    """Take a random crop of ``[3, h, w]``, resize it to ``[3, canvas, canvas]`` and maybe flip it."""
    height, width = image.shape[-2:]
    top, left, box_height, box_width = crop_box(height, width, uniforms_D, augment.scale, augment.ratio)
    box = image[:, top : top + box_height, left : left + box_width]
    part = resize(box, canvas, canvas, "bilinear")
    return part.flip(-1) if augment.flip and uniforms_D[-1] < 0.5 else part


def crop_box(
    height: int, width: int, uniforms_D: Uniforms, scale: Sequence[float], ratio: Sequence[float]
) -> tuple[int, int, int, int]:
    """Return (top, left, height, width) of a random crop of an image.

    The distribution is that of torchvision's ``RandomResizedCrop``: area uniform in ``scale``, width / height
    log-uniform in ``ratio``; the first of ten attempts that fits, else the largest central part with an allowed ratio.
    """
    draws = uniforms_D[: 4 * CROP_ATTEMPTS].reshape(CROP_ATTEMPTS, 4)
    areas = height * width * (scale[0] + draws[:, 0] * (scale[1] - scale[0]))
    ratios = np.exp(log(ratio[0]) + draws[:, 1] * (log(ratio[1]) - log(ratio[0])))
    widths = np.rint(np.sqrt(areas * ratios)).astype(int)
    heights = np.rint(np.sqrt(areas / ratios)).astype(int)
    fits = (widths > 0) & (widths <= width) & (heights > 0) & (heights <= height)
    if fits.any():
        first = int(fits.argmax())
        box_height, box_width = int(heights[first]), int(widths[first])
        top = int(draws[first, 2] * (height - box_height + 1))
        left = int(draws[first, 3] * (width - box_width + 1))
        return top, left, box_height, box_width
    box_width = min(width, round(height * ratio[1]))
    box_height = min(height, round(width / ratio[0]))
    return (height - box_height) // 2, (width - box_width) // 2, box_height, box_width
