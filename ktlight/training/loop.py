"""What stands in for Lightning's trainer in a training among several: progress, means, random numbers."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor


class Loop:
    """What a method and its callbacks ask of a trainer.

    Args:
        trainer: Its device and precision are used, and its loop stays as it is.
        max_epochs: Number of epochs.
        steps: Of an epoch.
        callbacks: In the order in which they are called.
    """

    world_size = 1
    global_rank = 0
    accumulate_grad_batches = 1

    def __init__(self, trainer: Trainer, max_epochs: int, steps: int, callbacks: Sequence[Callback]) -> None:
        self.strategy = trainer.strategy
        self.precision_plugin = trainer.precision_plugin
        self.gradient_clip_val = trainer.gradient_clip_val
        self.max_epochs = max_epochs
        self.estimated_stepping_batches = max_epochs * steps
        self.callbacks = callbacks
        self.current_epoch = self.global_step = 0
        self.logged_metrics: dict[str, Any] = {}


class Means:
    """What is logged in an epoch: means over its samples, in float32 as in Lightning."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.samples: dict[str, int] = {}

    def log(self, name: str, value: Tensor, batch_size: int = 1, **shown: Any) -> None:
        """Add the value of a batch."""
        self.sums[name] = self.sums.get(name, 0.0) + value.float() * batch_size
        self.samples[name] = self.samples.get(name, 0) + batch_size

    def log_dict(self, values: Mapping[str, Tensor], batch_size: int = 1, **shown: Any) -> None:
        """Add the values of a batch."""
        for name, value in values.items():
            self.log(name, value, batch_size)

    def taken(self) -> dict[str, float]:
        """Return the means, and begin anew."""
        means = {name: float(value / torch.tensor(self.samples[name])) for name, value in self.sums.items()}
        self.sums, self.samples = {}, {}
        return means


class Randomness:
    """The random numbers of one training among several: it draws what it would draw alone.

    Args:
        device: Where it computes.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.states = self._taken()

    @contextmanager
    def own(self) -> Iterator[None]:
        """Draw from this training's own generators within the block."""
        torch.set_rng_state(self.states[0])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(self.states[1], self.device)
        yield
        self.states = self._taken()

    def _taken(self) -> list[Tensor]:
        on_device = [torch.cuda.get_rng_state(self.device)] if self.device.type == "cuda" else []
        return [torch.get_rng_state(), *on_device]


def loop_after(loop: Mapping[str, Any], epoch: int, steps: int) -> dict[str, Any]:
    """Return the state of Lightning's loop at the end of an epoch, just before it counts it as completed.

    Args:
        loop: Its state before the first.
        epoch: The epoch, from 0.
        steps: Of the optimiser so far.
    """
    within = steps // (epoch + 1)
    epochs = {"ready": epoch + 1, "started": epoch + 1, "processed": epoch + 1, "completed": epoch}

    def counted(progress: Mapping[str, Any]) -> dict[str, Any]:
        counts = {"current": within, "total": steps}
        filled = {name: dict.fromkeys(progress[name], count) for name, count in counts.items()}
        return {**progress, **filled}

    own = "epoch_loop.automatic_optimization.optim_progress"
    optimizer = {name: counted(each) for name, each in loop[own]["optimizer"].items()}
    return {
        **loop,
        "epoch_progress": {"current": epochs, "total": epochs},
        "epoch_loop.state_dict": {"_batches_that_stepped": steps},
        "epoch_loop.batch_progress": {**counted(loop["epoch_loop.batch_progress"]), "is_last_batch": True},
        "epoch_loop.scheduler_progress": counted(loop["epoch_loop.scheduler_progress"]),
        own: {"optimizer": optimizer},
    }
