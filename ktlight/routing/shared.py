"""Sources that several routers ask about the same batch, and that answer once."""

from collections.abc import Callable, Hashable
from typing import Any, cast

import torch
from torch import Tensor

from ktlight.types import Batch, FeatureSource, LogitMap, LogitSource


class Asked:
    """What was asked about the current batch, and the sources that were asked, each by what it depends on."""

    def __init__(self) -> None:
        self.sources: dict[Hashable, LogitSource] = {}
        self.answers: dict[Hashable, Any] = {}
        self.queries = self.computed = 0

    def forget(self) -> None:
        """Begin a new batch."""
        self.answers.clear()

    def once(self, key: Hashable, ask: Callable[[], Any]) -> Any:
        """Return an answer about the current batch, asking for it the first time."""
        self.queries += 1
        if key not in self.answers:
            self.computed += 1
            self.answers[key] = ask()
        return self.answers[key]


class SharedSource:
    """A source that asks only if nobody has asked an equal one about the batch yet.

    Args:
        own: The source. Of equal ones, the first is kept and asked.
        key: What its answers depend on, besides the batch.
        asked: What all share.
    """

    def __init__(self, own: LogitSource, key: Hashable, asked: Asked) -> None:
        self.name = own.name
        self.label_map: LogitMap | None = own.label_map
        self.key = key
        self.asked = asked
        self.source = asked.sources.setdefault(key, own)

    @property
    def num_features(self) -> int:
        """Number of features, D."""
        return cast(FeatureSource, self.source).num_features

    def to(self, device: torch.device) -> None:
        """Move the source to a device."""
        self.source.to(device)

    def logits(self, batch: Batch) -> Tensor:
        """Return the logits ``[B, Z]``."""
        answer: Tensor = self.asked.once(self.key, lambda: self.source.logits(batch))
        return answer

    def logits_and_features(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the logits ``[B, Z]`` and the features ``[B, D]``."""
        ask = cast(FeatureSource, self.source).logits_and_features
        answer: tuple[Tensor, Tensor] = self.asked.once(("features", self.key), lambda: ask(batch))
        return answer
