"""The optimiser, its learning rate and the learning-rate schedule."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import torch
from lightning import Trainer
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch.nn import Parameter
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


@dataclass(frozen=True)
class Optimization:
    """An optimiser and a learning-rate schedule, not yet bound to parameters.

    Attributes:
        optimizer: Creates the optimiser from parameters and ``lr``.
        lr: Learning rate at an effective batch of ``lr_batch`` samples.
        lr_batch: The learning rate scales linearly with the effective batch (processes x batch x accumulation)
            relative to this size, as in the paper (lr 1e-4 * batch / 256); None uses ``lr`` for any batch.
        warmup_epochs: Epochs of linear warm-up from zero, at most half of the training.
        decay: ``constant``, or ``cosine``, which would reach zero one step after the last.
        fused: Whether the optimiser has an option ``fused``: one kernel for all parameters.
        peers: Optimisation of the networks after the student, in order; by default the student's.
    """

    optimizer: Callable[..., Optimizer]
    lr: float
    lr_batch: int | None = 256
    warmup_epochs: float = 0
    decay: Literal["constant", "cosine"] = "constant"
    fused: bool = False
    peers: tuple["Optimization", ...] = ()

    def of_network(self, number: int) -> "Optimization":
        """Return the optimisation of a network; the student is 0."""
        return self.peers[number - 1] if number and self.peers else self

    def make(self, parameters: Iterable[Parameter], batch: int, clips: bool = False) -> Optimizer:
        """Return the optimiser of the parameters that need a gradient.

        Args:
            parameters: Those of a network.
            batch: The effective batch, in samples.
            clips: Whether gradients are clipped: Lightning cannot clip with a fused optimiser under mixed precision.
        """
        trainable = [parameter for parameter in parameters if parameter.requires_grad]
        fused = {"fused": True} if self.fused and not clips and on_gpu(trainable) else {}
        return self.optimizer(params=trainable, lr=self.scaled_lr(batch), **fused)

    def slowed(self, parameters: int, reference: float | None) -> "Optimization":
        """Return a copy with a lower learning rate for a network of many parameters.

        A learning rate that suits a narrow network makes a wide one diverge: good rates are about inversely
        proportional to the width, which grows about as the square root of the number of parameters.

        Args:
            parameters: Number of trainable parameters.
            reference: Above this number, the rate is ``lr * sqrt(reference / parameters)``; None: always ``lr``.
        """
        return (
            self
            if reference is None
            else replace(self, lr=self.lr * min(1.0, math.sqrt(reference / max(1, parameters))))
        )

    def scaled_lr(self, batch: int) -> float:
        """Return the learning rate for an effective batch of ``batch`` samples."""
        return self.lr * batch / self.lr_batch if self.lr_batch else self.lr

    def warmup_steps(self, total: int, epochs: int) -> int:
        """Return the number of warm-up steps in a training of ``total`` steps: at most half of them."""
        return min(round(self.warmup_epochs * total / epochs), total // 2)

    def factor(self, step: int, warmup: int, total: int) -> float:
        """Return the learning-rate factor at ``step`` of ``total`` optimiser steps."""
        if step < warmup:
            return (step + 1) / warmup
        if self.decay == "constant":
            return 1.0
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))


class JointOptimizer(Optimizer):
    """Steps several optimisers as one, for networks that learn together with different settings.

    It shares its parts' parameter groups, so that schedules and gradient clipping reach all of them.

    Args:
        parts: The optimisers.
    """

    def __init__(self, parts: Sequence[Optimizer]) -> None:
        self.parts = list(parts)
        super().__init__([group for part in self.parts for group in part.param_groups], {})

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Compute the gradients with ``closure``, then step every part."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self.parts:
            part.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Return the states of the parts."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the states of the parts."""
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self.param_groups = [group for part in self.parts for group in part.param_groups]


def parts_of(optimizer: Optimizer) -> list[Optimizer]:
    """Return the optimisers that step as one."""
    return optimizer.parts if isinstance(optimizer, JointOptimizer) else [optimizer]


def configure(
    learners: Sequence[tuple[Optimization, Iterable[Parameter]]], trainer: Trainer, batch: int
) -> OptimizerLRSchedulerConfig:
    """Return a single optimiser for all networks, with its per-step schedule.

    Args:
        learners: The optimisation and parameters of each network; parameters without gradients are left out.
        trainer: Provides the number of steps.
        batch: Samples behind one optimiser step, over all processes.
    """
    total = int(trainer.estimated_stepping_batches)
    clips = trainer.gradient_clip_val is not None
    optimizers = [optimization.make(parameters, batch, clips) for optimization, parameters in learners]
    optimizer = optimizers[0] if len(optimizers) == 1 else JointOptimizer(optimizers)
    factors: list[Callable[[int], float]] = [
        partial(how.factor, warmup=how.warmup_steps(total, trainer.max_epochs or 1), total=total)
        for (how, _), part in zip(learners, optimizers, strict=True)
        for _ in part.param_groups
    ]
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": LambdaLR(optimizer, factors), "interval": "step"}}


def on_gpu(parameters: Sequence[Parameter]) -> bool:
    """Return whether the parameters are on a GPU."""
    return bool(parameters) and parameters[0].is_cuda
