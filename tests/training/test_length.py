"""A transfer is as long as its recipe says of the data and of the networks that learn."""

from typing import Any

import pytest
from omegaconf import OmegaConf
from torch import nn

from ktlight.training.length import recipe_epochs, samples_per_step, transfer_epochs
from tests import tiny

RECIPE = {"epochs": 2, "steps": 60, "max_steps": None, "parameters": None}
BUILT = {
    "accelerator": "cpu", "devices": 1, "num_nodes": 1, "strategy": "auto", "precision": "32-true", "progress": False,
    "check_val_every_n_epoch": None, "gradient_clip_val": None, "deterministic": False, "sync_batchnorm": False,
}  # fmt: skip


def config(*, accumulate: int = 1, max_epochs: int | None = None, **recipe: Any) -> Any:
    trainer = {**BUILT, "accumulate_grad_batches": accumulate, "max_epochs": max_epochs}
    return OmegaConf.create({"recipe": {**RECIPE, **recipe}, "trainer": trainer, "data": {"batch_size": 8}})


@pytest.mark.parametrize("steps_per_epoch", [1, 7, 60, 61, 1000])
def test_the_least_number_of_epochs(steps_per_epoch: int) -> None:
    """Against counting up."""
    epochs = 3
    while epochs * steps_per_epoch < 120:
        epochs += 1
    assert recipe_epochs(steps_per_epoch, 3, 120) == epochs
    within = max((each for each in range(1, epochs + 1) if each * steps_per_epoch <= 500), default=1)
    assert recipe_epochs(steps_per_epoch, 3, 120, 500) == within


def test_steps_are_optimiser_steps() -> None:
    data = tiny.data_module()  # 48 images in batches of 8
    assert transfer_epochs(config(), data) == 10
    assert transfer_epochs(config(accumulate=4), data) == 30  # two steps an epoch
    assert transfer_epochs(config(epochs=12), data) == 12
    assert transfer_epochs(config(max_steps=30), data) == 5
    assert transfer_epochs(config(max_epochs=1), data) == 1
    assert samples_per_step(config(accumulate=4)) == 32


def test_large_networks_take_fewer_steps() -> None:
    data, small, large = tiny.data_module(), tiny.classifier(), tiny.classifier(0, nn.Linear(48, 48))
    count = sum(parameter.numel() for parameter in large.parameters())
    sized = config(parameters=count / 4)  # a network four times as large: half of the steps
    assert transfer_epochs(sized, data, [small]) == 10
    assert transfer_epochs(sized, data, [small, large]) == 5
    large.freeze()
    assert transfer_epochs(sized, data, [small, large]) == 10
