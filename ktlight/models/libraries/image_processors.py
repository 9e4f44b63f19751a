"""What the image processors of transformers do, in timm's terms, and processors that do what timm's terms say."""

import logging
from collections.abc import Mapping
from math import floor
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import AutoImageProcessor, BitImageProcessor

from ktlight.functional.geometry import Framing
from ktlight.models.libraries.adapted import share
from ktlight.models.libraries.transformers_files import PROCESSOR

logger = logging.getLogger(__name__)

USUAL = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
"""Of a model without a processor: ImageNet's."""
RESAMPLING = {0: "nearest", 2: "bilinear", 3: "bicubic"}
"""Pillow's numbers."""
SIDES = (300, 400)
"""Height and width of the image that processors are tried on, in pixels."""
GREY_LEVELS = 2.0
"""Mean difference of pixels in 256 levels from which a processor counts as doing something else."""


class Levels(NamedTuple):
    """What a processor makes of pixels, whatever their place.

    Attributes:
        mean: Mean of each channel of the image, for pixels in [0, 1].
        std: Standard deviation, likewise.
        flipped: Whether red and blue change places.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    flipped: bool


def read_processor(folder: Path) -> Any:
    """Return the image processor in a folder; None if there is none."""
    if not any((folder / file).is_file() for file in PROCESSOR):
        return None
    return AutoImageProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def settings(processor: Any, side: int, model: str) -> tuple[dict[str, Any], bool]:
    """Return the preprocessing that a processor does, as timm says it, and whether it exchanges red and blue.

    Each kind of processor has rules of its own, so they are not read but found out: normalisation by uniform images,
    and geometry by trying what its options could mean on an image.

    Args:
        processor: The processor; None for the usual preprocessing.
        side: The model's own input size in pixels, where there is no processor.
        model: The user's name for the model.
    """
    if processor is None:
        plain = {"input_size": (3, side, side), "crop_pct": 1.0, "crop_mode": "center", "interpolation": "bicubic"}
        return {**plain, **USUAL}, False
    found = levels(processor)
    image = probe()
    seen = run(processor, image)
    seen = seen.flip(0) if found.flipped else seen
    mean, std = (torch.tensor(each)[:, None, None] for each in (found.mean, found.std))
    crop = min(seen.shape[-2:])
    pixels = (seen * std + mean) * 255
    tried = []
    for resize in sorted({size for size in sizes(processor) if size >= crop} | {crop}):
        for mode in ("center", "squash"):
            prepared = framing(crop, resize, mode, processor)(image)
            if prepared.shape == pixels.shape:
                tried.append(((prepared - pixels).abs().mean().item(), resize, mode))
    distance, resize, mode = min(tried, default=(float("inf"), crop, "center"))
    if distance > GREY_LEVELS:
        logger.warning(
            "%s: its %s prepares images in a way of its own; here they are resized to %d pixels and cropped to %d, "
            "which its options img_size, crop_pct, crop_mode and interpolation change",
            model, type(processor).__name__, resize, crop,
        )  # fmt: skip
    geometry = {"input_size": (3, crop, crop), "crop_pct": share(crop, resize), "crop_mode": mode}
    shown = {"interpolation": interpolation(processor), "mean": found.mean, "std": found.std}
    return {**geometry, **shown}, found.flipped


def levels(processor: Any) -> Levels:
    """Return what a processor does with uniform images: black, white and red."""
    black, white, red = (
        run(processor, torch.tensor(colour, dtype=torch.uint8)[:, None, None].expand(3, 64, 64)).mean((1, 2))
        for colour in ((0, 0, 0), (255, 255, 255), (255, 0, 0))
    )
    flipped = bool((red - black)[2] > (red - black)[0])
    std = 1 / (white - black)
    mean = -black * std
    mean, std = (each.flip(0) if flipped else each for each in (mean, std))
    means, stds = (tuple(round(value, 6) for value in each.tolist()) for each in (mean, std))
    return Levels(means, stds, flipped)


def run(processor: Any, image: Tensor) -> Tensor:
    """Return an image ``uint8 [3, H, W]`` as a processor prepares it."""
    prepared: Tensor = processor(image, return_tensors="pt")["pixel_values"][0]
    return prepared.float()


def probe() -> Tensor:
    """Return a smooth image, in which every place differs from its surroundings."""
    rows, columns = (torch.linspace(0, side / 40, side) for side in SIDES)
    waves = [torch.sin(rows + phase)[:, None] + torch.cos(columns * (1 + phase / 4))[None] for phase in range(3)]
    return (torch.stack(waves) * 60 + 128).round().to(torch.uint8)


def sizes(processor: Any) -> set[int]:
    """Return what a processor's options could mean as the side that images are resized to."""
    sides = {int(value) for name in ("size", "crop_size") for value in _dictionary(processor, name).values() if value}
    kept = getattr(processor, "crop_pct", None) or 1
    short = getattr(processor, "resize_short", None)
    enlarged = {int(side * factor) for side in sides for factor in (1 / kept, 256 / 224)}
    return sides | enlarged | ({int(short)} if short else set())


def _dictionary(processor: Any, name: str) -> dict[str, Any]:
    value = getattr(processor, name, None)
    return {"side": value} if isinstance(value, int) else dict(value or {})


def interpolation(processor: Any) -> str:
    """Return how a processor resizes; bicubic where timm has no such way."""
    return RESAMPLING.get(int(getattr(processor, "resample", None) or 0), "bicubic")


def framing(crop: int, resize: int, mode: Any, processor: Any) -> Framing:
    """Return how plain images would be prepared."""
    way: Any = interpolation(processor)
    return Framing((crop, crop), share(crop, resize), mode, way)


def processor_for(processor: Any, preprocessing: Mapping[str, Any]) -> Any:
    """Return a processor that does what timm's terms say: the model's own, if it does that.

    Args:
        processor: The model's own; None if it has none.
        preprocessing: Settings as timm names them; the crop mode is ``center`` or ``squash``.
    """
    if processor is not None:
        own, _ = settings(processor, 0, "")
        if all(own[name] == preprocessing[name] for name in own):
            return processor
    _, height, width = preprocessing["input_size"]
    resized = [floor(side / preprocessing["crop_pct"]) for side in (height, width)]
    squashed = preprocessing["crop_mode"] == "squash"
    return BitImageProcessor(
        size={"height": resized[0], "width": resized[1]} if squashed else {"shortest_edge": min(resized)},
        crop_size={"height": height, "width": width},
        resample={name: number for number, name in RESAMPLING.items()}[preprocessing["interpolation"]],
        image_mean=list(preprocessing["mean"]),
        image_std=list(preprocessing["std"]),
    )
