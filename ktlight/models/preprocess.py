"""From raw images to a network's input."""

from typing import Any

import torch
from timm.data.model_config import resolve_input_data_config
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from ktlight.errors import UserError, nearest
from ktlight.functional.geometry import CROP_MODES, INTERPOLATIONS, Framing


class Preprocess(nn.Module):
    """The preprocessing of one network: timm's evaluation transform, in two parts.

    `framing` brings a decoded original of any size to the network's input size; the data module applies it to plain
    images one by one. Training views are square and already cropped, the same for all networks of a run, so they are
    only resized to the input size, as in timm's own training. `forward` does that, and normalises.

    It has no weights and adds nothing to a state dict. Its ``repr`` is complete and can be used in a key.

    Args:
        input_size: Height and width of the network's input, in pixels.
        crop_pct: Fraction of the resized image's side that the centre crop keeps.
        interpolation: ``nearest``, ``bilinear`` or ``bicubic``; the last two with antialiasing.
        mean: Mean of each channel, for pixels in [0, 1].
        std: Standard deviation of each channel, for pixels in [0, 1].
        crop_mode: ``center``, ``squash`` or ``border``; see :class:`~ktlight.functional.geometry.Framing`.
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
        crop_mode: str = "center",
    ) -> None:
        super().__init__()
        for what, name, known in (
            ("interpolation", interpolation, INTERPOLATIONS),
            ("crop_mode", crop_mode, CROP_MODES),
        ):
            if name not in known:
                raise UserError(f"unknown {what} '{name}': choose one of {', '.join(known)}.{nearest(name, known)}")
        fill = tuple(round(255 * value) for value in mean)
        self.framing = Framing(tuple(input_size), crop_pct, crop_mode, interpolation, fill)  # type: ignore[arg-type]
        self.mean = mean
        self.std = std
        self.register_buffer("channel_mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("channel_std", torch.tensor(std).view(-1, 1, 1), persistent=False)

    @classmethod
    def from_network(cls, network: nn.Module, **overrides: Any) -> "Preprocess":
        """Return the preprocessing that timm records for ``network``.

        Args:
            network: A timm network.
            overrides: Settings that replace recorded ones; see `ktlight.models.spec.ModelConfig.preprocessing`.
        """
        config = resolve_input_data_config(network, args=overrides)
        _, height, width = config["input_size"]
        return cls(
            (height, width), config["crop_pct"], config["interpolation"], config["mean"], config["std"],
            config["crop_mode"],
        )  # fmt: skip

    def data_config(self) -> dict[str, Any]:
        """Return the settings as timm writes them."""
        return {
            "input_size": (len(self.mean), *self.framing.size),
            "crop_pct": self.framing.crop_pct,
            "crop_mode": self.framing.crop_mode,
            "interpolation": self.framing.interpolation,
            "mean": self.mean,
            "std": self.std,
        }

    def forward(self, image: Tensor) -> Tensor:
        """Return ``float [B, 3, h, w]`` for raw images: framed ones unchanged in size, square views resized.

        Args:
            image: ``uint8 [B, 3, H, W]``.

        Raises:
            UserError: If the pixels are not raw, as from a user's own data set of normalised images.
        """
        if image.dtype != torch.uint8:
            raise UserError(
                f"A model of timm normalises raw images (uint8) itself, but got {image.dtype}; "
                "give uint8 images, or the network itself (an nn.Module) instead of its name."
            )
        image = resize_views(image, self.framing).to(self.channel_mean.dtype)
        return image.div_(255).sub_(self.channel_mean).div_(self.channel_std)

    def extra_repr(self) -> str:
        """Return every setting."""
        return f"{self.framing}, mean={self.mean}, std={self.std}"


def resize_views(image: Tensor, framing: Framing) -> Tensor:
    """Return a batch ``uint8 [B, 3, H, W]`` resized to a framing's size, without cropping."""
    if tuple(image.shape[-2:]) == framing.size:
        return image
    if framing.interpolation == "nearest":
        return F.interpolate(image, size=framing.size, mode="nearest-exact")
    if image.device.type == "cpu":
        return F.interpolate(image, size=framing.size, mode=framing.interpolation, antialias=True)
    resized = F.interpolate(image.float(), size=framing.size, mode=framing.interpolation, antialias=True)
    return resized.round_().clamp_(0, 255).to(torch.uint8)  # elsewhere the kernel takes floats only
