"""From a raw batch to what one network expects, on whatever device the batch is."""

from math import floor
from typing import Any

import torch
from timm.data.model_config import resolve_input_data_config
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as transforms

from ktlight.errors import UserError

INTERPOLATIONS = ("nearest", "bilinear", "bicubic")


class Preprocess(nn.Module):
    """Resize, crop and normalise a batch as timm's evaluation transform does an image.

    It holds no weights: nothing of it enters a state dict. Its ``repr`` says all of it and can stand for it in a key.

    Args:
        input_size: Height and width that the network takes, in pixels.
        crop_pct: Share of the resized image's side that the centre crop keeps.
        interpolation: ``nearest``, ``bilinear`` or ``bicubic``; the last two with antialiasing.
        mean: Mean of each channel, for pixels in [0, 1].
        std: Standard deviation of each channel, for pixels in [0, 1].
    """

    channel_mean: Tensor
    channel_std: Tensor

    def __init__(
        self,
        input_size: tuple[int, int],
        crop_pct: float,
        interpolation: str,
        mean: tuple[float, ...],
        std: tuple[float, ...],
    ) -> None:
        super().__init__()
        if interpolation not in INTERPOLATIONS:
            raise UserError(f"Images cannot be resized with {interpolation!r}; use one of {', '.join(INTERPOLATIONS)}.")
        self.input_size = input_size
        self.crop_pct = crop_pct
        self.interpolation = interpolation
        self.mean = mean
        self.std = std
        self.register_buffer("channel_mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("channel_std", torch.tensor(std).view(-1, 1, 1), persistent=False)

    @classmethod
    def from_network(
        cls, network: nn.Module, img_size: int | None = None, crop_pct: float | None = None
    ) -> "Preprocess":
        """Return the preprocessing that timm records for ``network``.

        Args:
            network: A network made by timm.
            img_size: Side of the square input; None takes the recorded size.
            crop_pct: Takes the place of the recorded share; 1 for a network that learns here from whole images.
        """
        config = resolve_input_data_config(network, args={"img_size": img_size, "crop_pct": crop_pct})
        _, height, width = config["input_size"]
        return cls((height, width), config["crop_pct"], config["interpolation"], config["mean"], config["std"])

    @property
    def resize_to(self) -> int:
        """Side in pixels of the square image that the crop is taken from; a canvas of this size is not resampled."""
        return max(floor(side / self.crop_pct) for side in self.input_size)

    def data_config(self) -> dict[str, Any]:
        """Return the settings as timm writes them."""
        return {
            "input_size": (len(self.mean), *self.input_size),
            "crop_pct": self.crop_pct,
            "crop_mode": "center",
            "interpolation": self.interpolation,
            "mean": self.mean,
            "std": self.std,
        }

    def forward(self, image: Tensor) -> Tensor:
        """Return ``float [B, 3, h, w]`` for square raw images ``uint8 [B, 3, H, H]``.

        Raises:
            UserError: If the pixels are not raw, as in a user's own data set of normalised images.
        """
        if image.dtype != torch.uint8:
            raise UserError(
                f"A model of timm normalises raw images (uint8) itself, but got {image.dtype}; "
                "give uint8 images, or the network itself (an nn.Module) instead of its name."
            )
        if min(image.shape[-2:]) != self.resize_to:
            image = transforms.resize(image, [self.resize_to], InterpolationMode(self.interpolation), antialias=True)
        image = transforms.center_crop(image, list(self.input_size)).to(self.channel_mean.dtype)
        return image.div_(255).sub_(self.channel_mean).div_(self.channel_std)

    def extra_repr(self) -> str:
        """Return every setting."""
        return (
            f"input_size={self.input_size}, crop_pct={self.crop_pct}, interpolation={self.interpolation}, "
            f"mean={self.mean}, std={self.std}"
        )
