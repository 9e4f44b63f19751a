"""Tables that live in memory or in a user's own torch data set."""

from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ktlight.data.dataset import ImageDataset, content_fingerprint, numbered_classes
from ktlight.errors import UserError
from ktlight.functional.randomness import IntArray


class TensorTable:
    """A split held as one tensor.

    Args:
        images: ``uint8 [n, 3, h, w]``.
        labels: ``int64 [n]``.
    """

    repeatable = True

    def __init__(self, images: Tensor, labels: IntArray) -> None:
        self.images = images
        self.labels = labels

    @cached_property
    def fingerprint(self) -> str:
        """Identity of the content."""
        return content_fingerprint(self.labels, lambda row: self.images[row].numpy().tobytes())

    def __len__(self) -> int:
        return len(self.labels)

    def image(self, row: int) -> Tensor:
        """Return one image, ``uint8 [3, h, w]``."""
        return self.images[row]


class MapDataset(Protocol):
    """Any map-style torch data set of (image, label)."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> tuple[Any, Any]: ...


class TorchTable:
    """A split that is a user's own map-style torch data set of (image, label).

    Its transforms may be random, so its images are never kept in memory. The labels are its ``targets`` (torchvision's
    habit) if it has them and no ``target_transform``; else one pass over the data collects them.
    """

    repeatable = False

    def __init__(self, samples: MapDataset) -> None:
        self.samples = samples
        targets = getattr(samples, "targets", None)
        if targets is None or getattr(samples, "target_transform", None) is not None:
            targets = [int(samples[row][1]) for row in range(len(samples))]
        self.labels: IntArray = np.asarray(targets, np.int64)

    @cached_property
    def fingerprint(self) -> str:
        """Identity of the content; only as stable as the data set's own transforms."""
        return content_fingerprint(self.labels, lambda row: self.image(row).numpy().tobytes())

    def __len__(self) -> int:
        return len(self.labels)

    def image(self, row: int) -> Tensor:
        """Return one image: ``uint8 [3, h, w]``, or floats ``[c, h, w]`` that pass through untouched.

        Raises:
            UserError: The sample's first part is something else.
        """
        image = self.samples[row][0]
        if not isinstance(image, Tensor) or image.ndim != 3 or not _has_known_type(image):
            found = f"{image.dtype} {list(image.shape)}" if isinstance(image, Tensor) else type(image).__name__
            raise UserError(
                f"Sample {row} of the data set must start with an image tensor, uint8 [3, h, w] or float [c, h, w], "
                f"but it is {found}. Add a transform that makes it one, such as torchvision.transforms.v2.ToImage()."
            )
        return image.as_subclass(Tensor)


def _has_known_type(image: Tensor) -> bool:
    return image.is_floating_point() or (image.dtype == torch.uint8 and len(image) == 3)


def from_torch(
    train: MapDataset | None, val: MapDataset, class_names: tuple[str, ...] | None = None, name: str = "torch"
) -> ImageDataset:
    """Wrap two map-style torch data sets of (image, label).

    Args:
        train: The training split, or ``None`` for evaluation only.
        val: The held-out split.
        class_names: In the order of the labels; by default the numbers from 0 to the largest label.
        name: For messages and records.

    Raises:
        UserError: A split is empty or a label is out of range.
    """
    tables = [TorchTable(samples) for samples in (train, val) if samples is not None]
    if class_names is None:
        class_names = numbered_classes(1 + max(int(table.labels.max(initial=-1)) for table in tables))
    return ImageDataset(name, tables[0] if train is not None else None, tables[-1], class_names)


def only_from_python() -> ImageDataset:
    """Say that ``data=python`` has nothing to load by itself.

    Raises:
        UserError: Always.
    """
    raise UserError(
        "data=python stands for the data sets given to ktlight.transfer(); choose another on the command line"
    )
