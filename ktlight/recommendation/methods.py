"""The methods that are compared: the config of a transfer with each, and that of its probe."""

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any, cast

from omegaconf import DictConfig

from ktlight.data.datamodule import ImageDataModule
from ktlight.errors import UserError
from ktlight.methods.base import TransferMethod
from ktlight.models.classifier import Classifier
from ktlight.routing.rules import RoutingRule
from ktlight.stages.head import unfit
from ktlight.stages.sources import routing_rule
from ktlight.stages.stage import build_method


class Methods:
    """Configs by method, composed when they are first asked for.

    Args:
        compose: Returns the config of the running command with a method.
        student: Not frozen; methods are built over it and a teacher once, to see whether they can be probed.
        teacher: Any.
    """

    def __init__(self, compose: Callable[[str], DictConfig], student: Classifier, teacher: Classifier) -> None:
        self.compose = compose
        self.networks = {"student": student, "teacher": teacher}
        self._configs: dict[str, DictConfig] = {}
        self._rules: dict[str, RoutingRule] = {}

    def check(self, names: Sequence[str]) -> None:
        """Raise `UserError` if one of the methods does not exist, or cannot be probed."""
        for name in names:
            self.transfer(name)

    def transfer(self, name: str) -> DictConfig:
        """Return the config of a transfer with a method.

        Raises:
            UserError: There is no such method, or a probe says nothing of it.
        """
        if name not in self._configs:
            config = self.compose(name)
            method = None
            if config.method._target_ is not None:
                method = build_method(config, list(self.networks.values()))
            if reason := unfit(method):
                raise UserError(
                    f"method={name} {reason}, so the head probe says nothing of it: compare methods whose loss is on "
                    "logits, such as 'methods=[kl,kl_dp]'"
                )
            rule = routing_rule(config, cast(TransferMethod[Any], method), self.networks)
            if rule is None:
                raise UserError(f"method={name} learns from no teacher, so there is none to recommend for it")
            if rule.needs_holdout:
                raise UserError(
                    f"the router of method={name} learns from data.holdout's images, on which a probe is measured: "
                    "choose another router"
                )
            self._configs[name], self._rules[name] = config, rule
        return self._configs[name]

    def rule(self, name: str) -> RoutingRule:
        """Return the routing rule of a method."""
        self.transfer(name)
        return self._rules[name]

    def probe(self, name: str) -> DictConfig:
        """Return the config of a method's probe."""
        return probe_config(self.transfer(name))


def probe_config(config: DictConfig) -> DictConfig:
    """Return the config of a probe: the head alone, fewer views, larger batches and a larger rate."""
    own, options = copy.deepcopy(config), config.recommend
    own.transfer.part = "head"
    own.data.views = options.views
    own.data.batch_size = options.batch_size
    own.optim.lr = config.optim.lr * options.lr_scale
    own.trainer.accumulate_grad_batches = 1
    own.trainer.max_epochs = None
    return own


def probe_epochs(config: DictConfig, data: ImageDataModule) -> int:
    """Return how many epochs of its data a probe learns."""
    return math.ceil(int(config.recommend.steps) / data.steps_per_epoch(1))
