"""Compilation of the training step."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback

from ktlight.errors import UserError
from ktlight.methods.base import TransferMethod
from ktlight.models.sources import LiveSource
from ktlight.routing.router import SampleRouter


def compile_step(method: TransferMethod[Any], callbacks: Sequence[Callback], mode: str) -> None:
    """Compile the training step: forward passes with preprocessing and losses, sources, and routing.

    Each has one graph for whole batches and one for the smaller last batch; shapes are never dynamic, because a graph
    with static shapes is faster and can be replayed on a GPU. Weight interpolation is not compiled: it is already one
    fused operation over all tensors.

    Raises:
        UserError: If PyTorch does not know the mode, or cannot compile here.
    """
    try:
        compiled = partial(torch.compile, mode=mode, dynamic=False)
        networks: Any = method.networks
        for network in networks:  # for validation; inside the losses it is traced as part of them
            network.network.compile(mode=mode, dynamic=False)
        method.losses = compiled(method.losses)  # type: ignore[method-assign]
        for router in (callback for callback in callbacks if isinstance(callback, SampleRouter)):
            router.route = compiled(router.route)  # type: ignore[method-assign]
            for source in router.sources:
                if isinstance(source, LiveSource):
                    source.classifier.network.compile(mode=mode, dynamic=False)
    except RuntimeError as error:
        raise UserError(f"trainer.compile={mode} does not work here: {error}") from error
