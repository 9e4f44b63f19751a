"""A user's specification of a model: plain data, without torch."""

from dataclasses import dataclass, field
from typing import Any

from ktlight.errors import UserError, nearest

ZOO_PREFIX = "zoo:"
HUB_PREFIX = "hf-hub:"
LABELS = ("auto", "same", "synset", "names", "file", "learned")
"""How a model's classes are found among the data's; see docs/labels.md."""
PREPROCESSING = ("img_size", "crop_pct", "crop_mode", "interpolation", "mean", "std")


@dataclass
class ModelConfig:
    """One model of a run.

    Preprocessing options that are null are taken from the checkpoint's own record, or else from timm's.

    Attributes:
        name: The user's name for it: an alias (``vit_b``) or a library's name. It appears in tables and folders.
        architecture: The library's name, optionally with the tag of the trained weights (``resnet50.a1_in1k``); see
            :func:`ktlight.models.libraries.library.resolve`. Empty: that of the zoo's model which ``checkpoint`` names.
        checkpoint: Weights to start from: a safetensors file, a weights-only ``.pt`` or ``.pth`` file, an exported
            folder, ``hf-hub:organisation/name``, ``zoo:name``, or a prefixed name (``tv:resnet50``) for the weights
            that it stands for. None looks in the local zoo, then where the library keeps them.
        img_size: Side of the square input in pixels.
        crop_pct: Share of the resized image's side that the crop keeps.
        crop_mode: ``center``, ``squash`` or ``border``.
        interpolation: ``nearest``, ``bilinear`` or ``bicubic``.
        mean: Mean of the channels for pixels in [0, 1]: one number for all, or three.
        std: Standard deviation of the channels, likewise.
        labels: How its classes are found among the data's; one of `LABELS`.
        label_map: A csv file that says which of its classes is which of the data's; see docs/labels.md.
        kwargs: Further arguments of the architecture's constructor.

    Raises:
        UserError: If a preprocessing option is out of range, or ``labels`` and ``label_map`` do not go together.
    """

    name: str
    architecture: str
    checkpoint: str | None = None
    img_size: int | None = None
    crop_pct: float | None = None
    crop_mode: str | None = None
    interpolation: str | None = None
    mean: Any = None
    std: Any = None
    labels: str = "auto"
    label_map: str | None = None
    kwargs: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._require("img_size", "a whole number of pixels, at least 1", self.img_size is None or self.img_size >= 1)
        self._require("crop_pct", "above 0, at most 1", self.crop_pct is None or 0 < self.crop_pct <= 1)
        self._require("mean", "a number or three", self.mean is None or _is_channels(self.mean))
        self._require(
            "std",
            "a number or three, above 0",
            self.std is None or (_is_channels(self.std) and min(_three(self.std)) > 0),
        )
        self._require("labels", f"one of {', '.join(LABELS)}.{nearest(self.labels, LABELS)}", self.labels in LABELS)
        if self.labels == "file" and self.label_map is None:
            raise UserError(f"{self.name}: labels=file needs the file: label_map=FILE.csv")
        if self.label_map is not None and self.labels not in ("auto", "file"):
            raise UserError(
                f"{self.name}: label_map={self.label_map} has no meaning with labels={self.labels}: leave one out"
            )

    def _require(self, option: str, wanted: str, holds: bool) -> None:
        if not holds:
            raise UserError(f"{self.name}: {option}={getattr(self, option)} must be {wanted}")

    @property
    def preprocessing(self) -> dict[str, Any]:
        """The user's preprocessing options; those left out are as recorded with the weights."""
        given = {option: getattr(self, option) for option in PREPROCESSING}
        channels = {option: _three(given[option]) for option in ("mean", "std") if given[option] is not None}
        return {option: value for option, value in (given | channels).items() if value is not None}


def _three(value: Any) -> tuple[float, ...]:
    return tuple(map(float, value)) if isinstance(value, list | tuple) else (float(value),) * 3


def _is_channels(value: Any) -> bool:
    values = value if isinstance(value, list | tuple) else [value] * 3
    return len(values) == 3 and all(isinstance(each, int | float) and not isinstance(each, bool) for each in values)
