"""Checks that the config's parts fit together, before anything is computed."""

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig

from ktlight.data.datamodule import ImageDataModule
from ktlight.errors import UserError
from ktlight.methods.base import TransferMethod
from ktlight.models.classifier import Classifier
from ktlight.routing.rules import RoutingRule
from ktlight.stages.notices import warn_of_seen_images
from ktlight.stages.schedule import stage_epochs
from ktlight.stages.sources import routing_rule
from ktlight.stages.stage import build_method
from ktlight.training.trainer import world_size

ENSEMBLES = {"most_confident": "ensemble", "mean": "ensemble_mean"}
"""The column of ``predictions.parquet`` for each rule of ``method=ensemble``."""


def check_method(
    config: DictConfig, models: Mapping[str, Classifier]
) -> tuple[TransferMethod[Any] | None, RoutingRule | None]:
    """Check that all parts of the config fit; return the method over one stage's networks, and its routing rule.

    Returns:
        The method, None if nothing is trained, and the rule, None if nothing is routed.

    Raises:
        UserError: If the parts do not fit together.
    """
    if config.method._target_ is None:
        check_untrained(config)
        return None, None
    if config.transfer.batchnorm == "own" and config.trainer.sync_batchnorm:
        raise UserError(
            "trainer.sync_batchnorm=true takes statistics over the batches of all GPUs, transfer.batchnorm=own takes "
            "none of any batch: leave one of them out"
        )
    stages = 1 if config.schedule.name == "parallel" else len(models) - 1
    stage_epochs(config.schedule.total_epochs, 1, stages)
    together = dict(list(models.items())[: 2 if stages > 1 else None])
    method = build_method(config, list(together.values()))
    check_batch(config, method)
    return method, routing_rule(config, method, together)


def check_batch(config: DictConfig, method: TransferMethod[Any]) -> None:
    """Raise `UserError` if a batch holds too few samples to relate them to each other."""
    if config.data.batch_size * world_size(config.trainer) < method.least_batch:
        raise UserError(
            f"method={config.method.name} relates the samples of a batch to each other, and there is none to relate in "
            f"a batch of {config.data.batch_size}: use data.batch_size={method.least_batch} or more"
        )


def check_untrained(config: DictConfig) -> None:
    """Raise `UserError` if a method without training is combined with options for training, or has an unknown rule."""
    if config.method.rule not in ENSEMBLES:
        raise UserError(f"unknown method.rule '{config.method.rule}': choose {' or '.join(ENSEMBLES)}")
    for group, neutral in (("schedule", "parallel"), ("guard", "off")):
        if config[group].name != neutral:
            raise UserError(
                f"method={config.method.name} trains nothing, so {group}={config[group].name} has no meaning: "
                f"use {group}={neutral}"
            )


def check_holdout(
    config: DictConfig,
    data: ImageDataModule,
    method: TransferMethod[Any] | None,
    rule: RoutingRule | None,
    models: Mapping[str, Classifier],
) -> None:
    """Raise `UserError` if a part that decides on held-out images has none, or is measured on the same ones."""
    if method is None:
        return
    decides = {
        f"guard={config.guard.name}": config.guard.name != "off",
        "schedule.average=greedy": config.schedule.get("average") == "greedy",
        f"method={config.method.name}": method.needs_holdout,
        "the router": rule is not None and rule.needs_holdout,
    }
    deciders = [name for name, is_so in decides.items() if is_so]
    for what in deciders:
        data.holdout_images(None)
        if config.data.evaluate_on == "holdout":
            raise UserError(
                f"{what} decides on data.holdout's images, so they cannot also measure the outcome: "
                "use data.evaluate_on=val"
            )
    warn_of_seen_images(deciders, config.data.holdout, models)
