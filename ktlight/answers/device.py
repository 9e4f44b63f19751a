"""Where and how frozen models run."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Self

import torch
from lightning import Trainer


@dataclass(frozen=True)
class Device:
    """Where and how frozen models run: the same as the student in the trainer.

    Attributes:
        root: The device.
        context: The trainer's precision context.
        name: Identifies both in keys.
    """

    root: torch.device
    context: Callable[[], AbstractContextManager[None]]
    name: str

    @classmethod
    def of(cls, trainer: Trainer) -> Self:
        """Return the device and precision of a trainer."""
        device = trainer.strategy.root_device
        kind = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
        return cls(device, trainer.precision_plugin.forward_context, f"{kind} {trainer.precision}")
