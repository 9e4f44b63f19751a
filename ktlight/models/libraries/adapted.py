"""Networks of other libraries behind the interface of timm's, and settings in their terms."""

from collections.abc import Mapping, Sequence
from math import floor, nextafter
from typing import Any

from torch import Tensor, nn

from ktlight.errors import UserError
from ktlight.models.spec import ModelConfig

STEP = 32
"""Input sizes to train at are multiples of this, so that the coarsest features have at least one position."""


class Adapted(nn.Module):
    """A network with the interface that timm's have; its own module is `model`.

    Args:
        model: The library's module, which maps images to logits.
        heads: Names of the layers in it that give the logits; distilled networks have two.
        record: ``pretrained_cfg``; see `ktlight.models.libraries.library.ModelLibrary`.
    """

    def __init__(self, model: nn.Module, heads: Sequence[str], record: Mapping[str, Any]) -> None:
        super().__init__()
        self.model = model
        self.heads = tuple(heads)
        self.pretrained_cfg = dict(record)

    @property
    def num_classes(self) -> int:
        """Number of logits."""
        return outputs(self.get_classifier()[0])

    def get_classifier(self) -> list[nn.Module]:
        """Return the layers that give the logits."""
        return [self.model.get_submodule(head) for head in self.heads]

    def reset_classifier(self, num_classes: int) -> None:
        """Put new layers with random weights in their places."""
        for head in self.heads:
            parent, _, name = head.rpartition(".")
            old: Any = self.model.get_submodule(head)
            bias = old.bias is not None
            if isinstance(old, nn.Linear):
                new: nn.Module = nn.Linear(old.in_features, num_classes, bias)
            else:
                new = nn.Conv2d(old.in_channels, num_classes, old.kernel_size, old.stride, old.padding, bias=bias)
            setattr(self.model.get_submodule(parent), name, new.to(old.weight.device))
        self.pretrained_cfg.pop("label_names", None)

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits ``[B, C]`` of preprocessed images ``[B, 3, H, W]``."""
        logits: Tensor = self.model(image)
        return logits


class AdaptedTransformer(Adapted):
    """A network of transformers, which answers with more than logits.

    Args:
        model: The library's module.
        heads: As in `Adapted`.
        record: As in `Adapted`.
        processor: Its image processor; None if it has none.
        flipped: Whether it takes blue, green and red.
    """

    def __init__(
        self, model: nn.Module, heads: Sequence[str], record: Mapping[str, Any], processor: Any, *, flipped: bool
    ) -> None:
        super().__init__(model, heads, record)
        self.processor = processor
        self.flipped = flipped

    def reset_classifier(self, num_classes: int) -> None:
        """Put new layers with random weights in their places."""
        super().reset_classifier(num_classes)
        model: Any = self.model
        model.config.num_labels = model.num_labels = num_classes

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits ``[B, C]`` of preprocessed images ``[B, 3, H, W]``."""
        logits: Tensor = self.model(pixel_values=image.flip(1) if self.flipped else image)[0]
        return logits


def bare(network: nn.Module) -> nn.Module:
    """Return the library's own module, whose weights have the library's names."""
    return network.model if isinstance(network, Adapted) else network


def outputs(layer: nn.Module) -> int:
    """Return the number of outputs of a linear layer or a convolution; 0 of any other."""
    return int(getattr(layer, {nn.Linear: "out_features", nn.Conv2d: "out_channels"}.get(type(layer), ""), 0))


def share(crop: int, resize: int) -> float:
    """Return the share of the resized side that is kept, from which timm's formula gives the same side again.

    >>> share(224, 256), floor(224 / share(224, 232))
    (0.875, 232)
    """
    kept = min(1.0, crop / resize)
    while floor(crop / kept) < resize:
        kept = nextafter(kept, 0)
    return kept


def training_side(native_size: int, own: int, least: int) -> int:
    """Return the side to train at: that of the images, a multiple of `STEP`, between a network's least and its own."""
    return min(own, max(least, -(-native_size // STEP) * STEP))


def check_crop_mode(config: ModelConfig, title: str) -> None:
    """Raise `UserError` if a model is to see images in a way that its library has no transform for."""
    if config.crop_mode == "border":
        raise UserError(
            f"{config.name}: crop_mode=border is timm's alone, and an exported model has to work in {title}: choose "
            "center or squash"
        )
