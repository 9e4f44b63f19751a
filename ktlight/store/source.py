"""A stored source: returns from the store what the live source would compute."""

from collections.abc import Mapping

import torch
from torch import Tensor

from ktlight.models.label_map import LabelMap
from ktlight.store.form import Form
from ktlight.types import Batch


class StoredSource:
    """A source of precomputed logits and features, interchangeable with a live one for the sample router.

    Args:
        name: Its role: ``student`` for the initial student, ``teacher``.
        views: The stored logits of each view, ``[rows, columns]``.
        rows: Index of each stored row within the split, ascending, ``int64 [rows]``.
        form: How logits are stored.
        features: The stored features of each view, ``[rows, D]``; None if they are not used.
        label_map: How the model's own classes, which are stored, answer in the data's; None if they are the data's.
    """

    def __init__(
        self,
        name: str,
        views: Mapping[int, Tensor],
        rows: Tensor,
        form: Form,
        features: Mapping[int, Tensor] | None = None,
        label_map: LabelMap | None = None,
    ) -> None:
        self.name = name
        self.label_map = label_map
        self.views = views
        self.form = form
        self.features = features or {}
        # a row that is not stored maps beyond the end: an error instead of another row's output
        self.slots = torch.full((int(rows.max()) + 1,), len(rows))
        self.slots[rows] = torch.arange(len(rows))
        self.device = torch.device("cpu")

    def to(self, device: torch.device) -> None:
        """Set the device of the returned tensors; the stored arrays stay where they are."""
        self.device = device

    @property
    def num_features(self) -> int:
        """Number of features, D."""
        return next(iter(self.features.values())).shape[1]

    def logits(self, batch: Batch) -> Tensor:
        """Return the logits ``[B, Z]``; a batch's indices stay on the CPU, so nothing synchronises with the device."""
        return self.form.unpack(self._read(self.views, batch), batch["label"])

    def logits_and_features(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the logits ``[B, Z]`` and the features ``[B, D]``."""
        return self.logits(batch), self._read(self.features, batch)

    def _read(self, views: Mapping[int, Tensor], batch: Batch) -> Tensor:
        stored = views[batch["view"]][self.slots[batch["index"]]]
        return stored if self.device.type == "cpu" else stored.pin_memory().to(self.device, non_blocking=True)
