"""A stored source: answers from the store what the live source would compute."""

from collections.abc import Mapping

import torch
from torch import Tensor

from ktlight.store.form import Form
from ktlight.types import Batch


class StoredSource:
    """A source of logits, and features, that were computed before; the sample router cannot tell it from a live one.

    Args:
        name: Its role: ``student`` for the initial student, ``teacher``.
        views: What is stored of each view, ``[rows, columns]``.
        rows: Index of each stored row within the split, ascending, ``int64 [rows]``.
        form: How logits are stored.
        features: What is stored of the features in each view, ``[rows, D]``; None where they are not wanted.
    """

    def __init__(
        self,
        name: str,
        views: Mapping[int, Tensor],
        rows: Tensor,
        form: Form,
        features: Mapping[int, Tensor] | None = None,
    ) -> None:
        self.name = name
        self.views = views
        self.form = form
        self.features = features or {}
        # a row that is not stored leads beyond the end, which is an error, and not to the answer for another row
        self.slots = torch.full((int(rows.max()) + 1,), len(rows))
        self.slots[rows] = torch.arange(len(rows))
        self.device = torch.device("cpu")

    def to(self, device: torch.device) -> None:
        """Say where the answers are wanted; the store itself stays where it is."""
        self.device = device

    @property
    def num_features(self) -> int:
        """Number of features, D."""
        return next(iter(self.features.values())).shape[1]

    def logits(self, batch: Batch) -> Tensor:
        """Return the logits ``[B, C]``; a batch's indices stay on the processor, so nothing waits for the device."""
        return self.form.unpack(self._read(self.views, batch), batch["label"])

    def logits_and_features(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the logits ``[B, C]`` and the features ``[B, D]``."""
        return self.logits(batch), self._read(self.features, batch)

    def _read(self, views: Mapping[int, Tensor], batch: Batch) -> Tensor:
        stored = views[batch["view"]][self.slots[batch["index"]]]
        return stored if self.device.type == "cpu" else stored.pin_memory().to(self.device, non_blocking=True)
