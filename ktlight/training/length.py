"""How long a transfer trains, by its recipe and the size of the data."""

import math

from omegaconf import DictConfig

from ktlight.data.datamodule import ImageDataModule
from ktlight.training.trainer import world_size


def transfer_epochs(config: DictConfig, data: ImageDataModule) -> int:
    """Return the number of epochs of one training: ``trainer.max_epochs``, else what the recipe says for the data."""
    if config.trainer.max_epochs is not None:
        return int(config.trainer.max_epochs)
    batches = data.steps_per_epoch(world_size(config.trainer))
    steps_per_epoch = math.ceil(batches / config.trainer.accumulate_grad_batches)
    return recipe_epochs(config.recipe.epochs, config.recipe.steps, steps_per_epoch)


def samples_per_step(config: DictConfig) -> int:
    """Return the number of training samples behind one optimiser step, over all processes."""
    return int(config.data.batch_size * world_size(config.trainer) * config.trainer.accumulate_grad_batches)


def recipe_epochs(epochs: int, steps: int, steps_per_epoch: int) -> int:
    """Return the least number of whole epochs that has ``epochs`` epochs and ``steps`` optimiser steps.

    A fixed number of epochs starves small data: six epochs of 360 images in batches of 64 are 36 steps.

    >>> recipe_epochs(10, 600, steps_per_epoch=6), recipe_epochs(10, 600, steps_per_epoch=200)
    (100, 10)
    """
    return max(epochs, math.ceil(steps / steps_per_epoch))
