"""Tables held in memory or in a user's own torch data set."""

import hashlib
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Subset, TensorDataset

from ktlight.data.dataset import ImageDataset, content_fingerprint, numbered_classes
from ktlight.errors import UserError
from ktlight.functional.randomness import SAMPLE_STREAM, IntArray, random_order

SAMPLED_ROWS = 16


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
        sizes = np.full(len(self), self.images[0].nbytes if len(self) else 0)
        return content_fingerprint(self.labels, sizes, lambda row: self.images[row].numpy().tobytes())

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

    The labels are its ``targets`` (torchvision's convention) if their number and a few samples agree with them;
    otherwise one pass over the data collects them.

    Args:
        samples: The data set.
        identity: Identifies its content, such as a name and a version; see :attr:`fingerprint`.

    Attributes:
        repeatable: Whether a sample's image is the same every time: true for a ``TensorDataset`` (and a ``Subset`` of
            one); other data sets may have random transforms.
    """

    def __init__(self, samples: MapDataset, identity: str | None = None) -> None:
        self.samples = samples
        self.identity = identity
        self.repeatable = _holds_tensors(samples)
        self.labels: IntArray = _labels(samples)

    @cached_property
    def fingerprint(self) -> str:
        """Identity of the content: of the labels and ``identity`` if given, else of labels and images.

        Repeatable images are all included. Of others, a few are read twice and included if both reads agree: randomly
        transformed images would give every run a new identity, so then only labels are used.
        """
        if self.identity is None and self.repeatable:
            return content_fingerprint(self.labels, np.full(len(self), len(self._bytes(0))), self._bytes)
        known = self.identity or self._looks()
        labels = content_fingerprint(self.labels, np.zeros_like(self.labels), lambda _: b"")
        return hashlib.sha256(f"{known} {labels}".encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.labels)

    def image(self, row: int) -> Tensor:
        """Return one image: ``uint8 [3, h, w]``, or floats ``[c, h, w]``, which pass through unchanged.

        Raises:
            UserError: If the sample's first element is something else.
        """
        image = self.samples[row][0]
        if not isinstance(image, Tensor) or image.ndim != 3 or not _has_known_type(image):
            found = f"{image.dtype} {list(image.shape)}" if isinstance(image, Tensor) else type(image).__name__
            raise UserError(
                f"Sample {row} of the data set must start with an image tensor, uint8 [3, h, w] or float [c, h, w], "
                f"but it is {found}. Add a transform that makes it one, such as torchvision.transforms.v2.ToImage()."
            )
        return image.as_subclass(Tensor)

    def _bytes(self, row: int) -> bytes:
        return self.image(row).numpy().tobytes()

    def _looks(self) -> str:
        rows = _sampled(len(self))
        first, second = (b"".join(map(self._bytes, rows)) for _ in range(2))
        return hashlib.sha256(first).hexdigest() if first == second else ""


def _holds_tensors(samples: MapDataset) -> bool:
    """Whether no code of the user's runs when a sample is read; subclasses may do anything."""
    inner: Any = samples
    while type(inner) is Subset:
        inner = inner.dataset
    return type(inner) is TensorDataset


def _labels(samples: MapDataset) -> IntArray:
    targets = getattr(samples, "targets", None)
    if targets is not None and getattr(samples, "target_transform", None) is None and len(targets) == len(samples):
        labels = np.asarray(targets)
        if labels.ndim == 1 and all(int(samples[row][1]) == labels[row] for row in _sampled(len(samples))):
            return labels.astype(np.int64)
    return np.array([int(samples[row][1]) for row in range(len(samples))], np.int64)


def _sampled(count: int) -> list[int]:
    rows: list[int] = random_order(np.arange(count), SAMPLE_STREAM)[:SAMPLED_ROWS].tolist()
    return rows


def _has_known_type(image: Tensor) -> bool:
    return image.is_floating_point() or (image.dtype == torch.uint8 and len(image) == 3)


def from_torch(
    train: MapDataset | None,
    val: MapDataset,
    class_names: tuple[str, ...] | None = None,
    name: str = "torch",
    identity: str | None = None,
) -> ImageDataset:
    """Wrap two map-style torch data sets of (image, label).

    Args:
        train: The training split, or ``None`` for evaluation only.
        val: The held-out split.
        class_names: In the order of the labels; by default the numbers from 0 to the largest label.
        name: For messages and records.
        identity: Identifies the content if transforms are random; see :attr:`TorchTable.fingerprint`.

    Raises:
        UserError: If a split is empty or a label is out of range.
    """
    tables = [TorchTable(samples, identity) for samples in (train, val) if samples is not None]
    counted = class_names is None
    if class_names is None:
        class_names = numbered_classes(1 + max(int(table.labels.max(initial=-1)) for table in tables))
    return ImageDataset(name, tables[0] if train is not None else None, tables[-1], class_names, counted=counted)


def only_from_python() -> ImageDataset:
    """Say that ``data=python`` has nothing to load by itself.

    Raises:
        UserError: Always.
    """
    raise UserError(
        "data=python stands for the data sets given to ktlight.transfer(); choose another on the command line"
    )
