"""The length of a transfer, from its recipe and the sizes of the data and of the networks that learn."""

import logging
import math
from collections.abc import Sequence

from omegaconf import DictConfig

from ktlight.data.datamodule import ImageDataModule
from ktlight.models.classifier import Classifier
from ktlight.training.trainer import world_size

logger = logging.getLogger(__name__)


def transfer_epochs(config: DictConfig, data: ImageDataModule, learners: Sequence[Classifier] = ()) -> int:
    """Return the number of epochs of one training, and say where it comes from; see :func:`planned_epochs`."""
    epochs = planned_epochs(config, data, learners)
    if learners and config.trainer.max_epochs is None:
        steps = optimizer_steps(config, data)
        logger.info("Transfer: %d epochs of %d steps, by the recipe; trainer.max_epochs= changes it", epochs, steps)
    return epochs


def planned_epochs(config: DictConfig, data: ImageDataModule, learners: Sequence[Classifier] = ()) -> int:
    """Return the number of epochs of one training: ``trainer.max_epochs``, else the recipe's.

    Args:
        config: The composed config.
        data: The training data.
        learners: The networks that learn; the largest counts.
    """
    if config.trainer.max_epochs is not None:
        return int(config.trainer.max_epochs)
    recipe = config.recipe
    share = 1.0
    if recipe.parameters is not None:
        share = min(1.0, math.sqrt(recipe.parameters / max([1, *map(learning_parameters, learners)])))
    steps = optimizer_steps(config, data)
    return recipe_epochs(steps, recipe.epochs, math.ceil(recipe.steps * share), recipe.max_steps)


def optimizer_steps(config: DictConfig, data: ImageDataModule) -> int:
    """Return the number of optimiser steps of an epoch."""
    batches = data.steps_per_epoch(world_size(config.trainer))
    return max(1, math.ceil(batches / int(config.trainer.accumulate_grad_batches)))


def learning_parameters(network: Classifier) -> int:
    """Return the number of trainable parameters of a network."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def recipe_epochs(steps_per_epoch: int, epochs: int, steps: int, max_steps: int | None = None) -> int:
    """Return the smallest number of epochs with at least ``epochs`` epochs and ``steps`` steps, within ``max_steps``.

    Counting epochs alone is not enough for few images: six epochs of 360 images in batches of 64 are only 36 optimiser
    steps. The result is at least 1.

    >>> [recipe_epochs(steps_per_epoch, 10, 300, 20_000) for steps_per_epoch in (6, 200, 4_000, 40_000)]
    [50, 10, 5, 1]
    """
    wanted = max(epochs, math.ceil(steps / steps_per_epoch))
    return wanted if max_steps is None else max(1, min(wanted, max_steps // steps_per_epoch))


def samples_per_step(config: DictConfig) -> int:
    """Return the number of training samples behind one optimiser step, over all processes."""
    return int(config.data.batch_size * world_size(config.trainer) * config.trainer.accumulate_grad_batches)
