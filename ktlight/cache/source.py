"""A stored source: answers from the store what the live source would compute."""

from collections.abc import Mapping

import torch
from torch import Tensor

from ktlight.cache.form import Form
from ktlight.types import Batch


class StoredSource:
    """A source of logits that were computed before; the sample router cannot tell it from a live one.

    Args:
        name: Its role: ``student`` for the initial student, ``teacher``.
        views: What is stored of each view, ``[rows, columns]``.
        rows: Index of each stored row within the split, ascending, ``int64 [rows]``.
        form: How logits are stored.
    """

    def __init__(self, name: str, views: Mapping[int, Tensor], rows: Tensor, form: Form) -> None:
        self.name = name
        self.views = views
        self.form = form
        # a row that is not stored leads beyond the end, which is an error, and not to the answer for another row
        self.slots = torch.full((int(rows.max()) + 1,), len(rows))
        self.slots[rows] = torch.arange(len(rows))
        self.device = torch.device("cpu")

    def to(self, device: torch.device) -> None:
        """Say where the answers are wanted; the store itself stays where it is."""
        self.device = device

    def logits(self, batch: Batch) -> Tensor:
        """Return the logits ``[B, C]``; a batch's indices stay on the processor, so nothing waits for the device."""
        stored = self.views[batch["view"]][self.slots[batch["index"]]]
        if self.device.type != "cpu":
            stored = stored.pin_memory().to(self.device, non_blocking=True)
        return self.form.unpack(stored, batch["label"])
