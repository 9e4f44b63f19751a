"""Weight interpolation: momentum-based continual learning (MCL), and the moving average of pretraining."""

from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from ktlight.functional.interpolation import interpolate_
from ktlight.limits import Count, Share
from ktlight.models.sharding import own_part, part_like


class WeightInterpolation(Callback):
    """Keeps slow weights: every N training samples ``slow = tau * slow + (1 - tau) * fast`` (arXiv 2310.17653, sec. 4).

    The slow weights start as the initial ones; they are evaluated, and are in the module when training ends. Training
    continues from the fast weights, which are never reset: with the paper's tau of 0.9999 a reset would freeze the
    network. Of networks divided among processes they are divided too. BatchNorm statistics are those of the fast
    network unless ``average_buffers``. Slow weights are float32 whatever the network's precision: in bfloat16 a step of
    ``1 - tau`` would be rounded away.

    Args:
        tau: Fraction of the slow weights kept at each interpolation, from 0 (no restraint) to 1.
        samples: N, over all processes; rounded to whole optimiser steps (not micro-batches), at least one.
        average_buffers: Interpolate floating-point buffers too, as the paper's public code does.
        batch: Samples that one optimiser step takes, over all processes.
    """

    def __init__(self, tau: Share, samples: Count, average_buffers: bool = False, *, batch: int = 1) -> None:
        self.tau = tau
        self.every = max(1, round(samples / batch))
        self.average_buffers = average_buffers
        self.slow: list[Tensor] = []
        self.set_aside: list[Tensor] = []
        self.steps_seen = 0

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start from the initial weights, or from the slow weights of the checkpoint that is being resumed."""
        fast = self.fast(pl_module)
        initial = [weights.to(torch.promote_types(weights.dtype, torch.float32), copy=True) for weights in fast]
        self.slow = [part_like(slow, weights) for slow, weights in zip(self.slow or initial, fast, strict=True)]

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Interpolate after every N-th optimiser step."""
        if trainer.global_step > self.steps_seen:
            self.steps_seen = trainer.global_step
            if self.steps_seen % self.every == 0:
                slow = [own_part(weights) for weights in self.slow]
                fast = [own_part(weights) for weights in self.fast(pl_module)]
                interpolate_(slow, [new.to(old.dtype) for old, new in zip(slow, fast, strict=True)], self.tau)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Evaluate the slow weights."""
        self.set_aside = [weights.clone() for weights in self.fast(pl_module)]
        self.put(self.slow, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Continue training from the fast weights."""
        self.put(self.set_aside, pl_module)
        self.set_aside = []

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the slow weights in the module, even if a resumed run has no epochs left."""
        self.put(self.slow, pl_module)

    @torch.no_grad()
    def put(self, weights: list[Tensor], module: LightningModule) -> None:
        """Give the module these weights, in its own precision."""
        for mine, given in zip(self.fast(module), weights, strict=True):
            mine.copy_(given)

    def fast(self, module: LightningModule) -> list[Tensor]:
        """Return the module's tensors to interpolate, detached."""
        networks: Any = module.networks
        weights = [parameter.detach() for parameter in networks.parameters() if parameter.requires_grad]
        buffers = [buffer for buffer in networks.buffers() if buffer.is_floating_point()]
        return weights + buffers * self.average_buffers

    def state_dict(self) -> dict[str, Any]:
        """Return the state to save in a checkpoint."""
        return {"slow": self.slow, "steps_seen": self.steps_seen}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the slow weights from a checkpoint."""
        self.slow = state_dict["slow"]
        self.steps_seen = state_dict["steps_seen"]
