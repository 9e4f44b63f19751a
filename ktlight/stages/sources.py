"""The sources that teach in a stage, and the rule that chooses among them."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback
from omegaconf import DictConfig
from torch import Tensor

from ktlight.answers.ask import all_logits, ask_in_own_classes
from ktlight.answers.stored import OutputStore
from ktlight.config.instantiate import make
from ktlight.data.ordered import OrderedView
from ktlight.errors import UserError
from ktlight.functional.geometry import Framing
from ktlight.functional.label_spaces import complete_with
from ktlight.methods.base import TransferMethod
from ktlight.models.classifier import Classifier
from ktlight.models.sources import LiveSource
from ktlight.routing.router import SampleRouter
from ktlight.routing.rules import RoutingRule
from ktlight.stages.setting import Setting
from ktlight.store.form import Full, make_form

logger = logging.getLogger(__name__)


def routing_rule(
    config: DictConfig, method: TransferMethod[Any], models: Mapping[str, Classifier]
) -> RoutingRule | None:
    """Return the rule that ``router=`` names, if the method needs one; raise `UserError` if it cannot route."""
    if not method.routed:
        return None
    rule: RoutingRule = make(config.router)
    rule.candidates([LiveSource(role, model) for role, model in models.items()])
    check_kept_logits(config, rule, method, models["student"].num_classes)
    return rule


def check_kept_logits(config: DictConfig, rule: RoutingRule, method: TransferMethod[Any], classes: int) -> None:
    """Raise `UserError` if what ``store.top_k`` keeps of the logits would change the choices or the loss.

    Args:
        config: The composed config.
        rule: Chooses on the logits.
        method: Learns from them.
        classes: Number of classes.
    """
    kept, top_classes = config.store.top_k, method.top_classes
    if config.store.mode == "off" or make_form(kept, classes).name == Full.name:
        return
    mend = f"but store.top_k={kept} keeps only the largest besides the label's: use store.top_k=null or store=off"
    if rule.needs_full_logits:
        raise UserError(f"the router compares what all logits say, {mend}")
    if method.needs_full_logits or method.standardize_logits:
        name = f"method={config.method.name}{' method.standardize_logits=true' * method.standardize_logits}"
        raise UserError(f"the loss of {name} depends on all logits of the target, {mend}")
    if top_classes is not None and kept < top_classes < classes:
        raise UserError(f"the loss goes over the {top_classes} largest classes of the target, {mend}")


def sample_router(
    setting: Setting, initial: Mapping[str, Classifier], epochs: int, features: bool = False
) -> list[Callback]:
    """Return the sample router over the initial student and the teachers, where there is a rule to route by."""
    rule = setting.rule
    if rule is None:
        return []
    return [router_over(prepared(rule, initial, setting), initial["student"], rule, setting, epochs, features)]


def router_over(
    candidates: Sequence[LiveSource],
    student: Classifier,
    rule: RoutingRule,
    setting: Setting,
    epochs: int,
    features: bool = False,
) -> SampleRouter:
    """Return the sample router over the candidates of a rule, which has been prepared.

    Args:
        candidates: The candidates.
        student: The frozen initial student, which speaks for classes that a candidate has none for.
        rule: Chooses among the candidates.
        setting: Of the stage.
        epochs: Number of epochs of training.
        features: Whether the method learns from features.
    """
    sources = setting.outputs.sources(candidates, setting.data, epochs, features)
    lacking = any(lacks_classes(each.classifier) for each in candidates)
    rest = [LiveSource("student", student)] if lacking else []
    return SampleRouter(sources, rule, features, next(iter(setting.outputs.sources(rest, setting.data, epochs)), None))


def prepared(rule: RoutingRule, initial: Mapping[str, Classifier], setting: Setting) -> list[LiveSource]:
    """Return the candidates of a rule, once it has seen what they say of the held-out images, if it needs them."""
    candidates = rule.candidates([LiveSource(name, model) for name, model in initial.items()])
    if not rule.needs_holdout:
        return candidates
    shown = setting.data.holdout_images
    images = [shown(candidate.classifier.framing) for candidate in candidates]
    logits = [
        complete_logits(candidate.classifier, initial["student"], shown, setting.outputs) for candidate in candidates
    ]
    learned = rule.prepare(torch.stack(logits), torch.from_numpy(images[0].labels))
    for what, numbers_M in learned.items():
        said = (f"{each.name} {number:.4g}" for each, number in zip(candidates, numbers_M.tolist(), strict=True))
        logger.info("The router has learned from %d images: %s of %s", len(images[0].rows), what, ", ".join(said))
    return candidates


def complete_logits(
    classifier: Classifier,
    student: Classifier,
    shown: Callable[[Framing | None], OrderedView],
    outputs: OutputStore,
) -> Tensor:
    """Return a model's logits in the data's classes, as the sample router has them, for all rows of a view.

    Args:
        classifier: The model.
        student: Speaks for the classes that the model has none for.
        shown: Returns the view in a framing.
        outputs: The store, and where models run.
    """
    images = shown(classifier.framing)
    if not lacks_classes(classifier):
        return all_logits(classifier, images, outputs)
    assert classifier.label_map is not None
    logits_NC, mass_N = classifier.label_map(torch.cat(list(ask_in_own_classes(classifier, images, outputs))))
    return complete_with(logits_NC, mass_N, all_logits(student, shown(student.framing), outputs))


def lacks_classes(classifier: Classifier) -> bool:
    """Return whether the data have classes that no class of a model's own maps to."""
    return classifier.label_map is not None and bool(classifier.label_map.missing)
