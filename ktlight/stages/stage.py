"""One stage of a transfer: a student learns from given teachers."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers.logger import Logger
from omegaconf import DictConfig, OmegaConf

from ktlight.answers.ask import all_logits
from ktlight.answers.stored import OutputStore
from ktlight.config.instantiate import make
from ktlight.data.datamodule import ImageDataModule
from ktlight.errors import UserError, nearest
from ktlight.methods.base import TransferMethod
from ktlight.models.classifier import Classifier
from ktlight.models.sources import LiveSource
from ktlight.report.folder import RunFolder
from ktlight.routing.router import SampleRouter
from ktlight.routing.rules import RoutingRule
from ktlight.store.form import Full, make_form
from ktlight.training.assemble import optimization, seed
from ktlight.training.length import samples_per_step
from ktlight.training.loggers import StageLogger
from ktlight.training.trainer import fit


@dataclass(frozen=True)
class Setting:
    """The setting shared by all stages of a transfer.

    Attributes:
        config: The composed config.
        data: Images to train and evaluate on.
        outputs: Outputs of frozen models, stored or live.
        loggers: Loggers in addition to the curves.
        epochs: Epochs of one training, unless ``schedule.total_epochs`` is divided among stages.
        rule: Chooses each sample's source; None if the networks teach each other.
        several_stages: Whether more stages follow, so that the end of this one is worth saving.
    """

    config: DictConfig
    data: ImageDataModule
    outputs: OutputStore
    loggers: Sequence[Logger]
    epochs: int
    rule: RoutingRule | None = None
    several_stages: bool = False

    def of_stage(self, number: int) -> "Setting":
        """Return the setting for stage ``number`` of several, whose metrics are logged with a prefix."""
        return replace(self, loggers=[StageLogger(each, number) for each in self.loggers], several_stages=True)


@dataclass(frozen=True)
class Learned:
    """Result of a stage, besides the networks' weights, which it changes in place.

    Attributes:
        learners: Number of networks that learned, the student first.
        teacher_share: Percentage of the training samples that teachers taught; None without a router.
    """

    learners: int
    teacher_share: float | None


def learn(
    setting: Setting, student: Classifier, teachers: Mapping[str, Classifier], folder: RunFolder, epochs: int
) -> Learned:
    """Train the student with teachers, given by role, for a number of epochs, writing to ``folder``.

    The student at the start is the stage's initial student: its frozen copy is source 0 of the router.
    """
    config = setting.config
    seed(config)
    method = build_method(config, [student, *teachers.values()])
    initial = {"student": student, **teachers} if method.routed else {}
    initial = {role: model.frozen_copy() for role, model in initial.items()}
    curves = fit(
        config.trainer, method, setting.data.seen_by(method.framings, method.views_at_once), folder,
        max_epochs=epochs,
        resume=config.resume,
        keep_end=setting.several_stages,
        callbacks=[*sample_router(setting, initial, epochs, method.needs_features), *restraint(config)],
        loggers=setting.loggers,
    )  # fmt: skip
    shares = [curves.mean(f"share/{role}") or 0.0 for role in teachers]
    return Learned(method.learners, sum(shares) if method.routed else None)


def build_method(config: DictConfig, networks: Sequence[Classifier]) -> TransferMethod[Any]:
    """Return the method that ``method=`` names, over the student and the teachers; check that its router fits."""
    student, *peers = networks
    options = peer_options(config.optim, len(peers))
    own = tuple(optimization(option, peer) for option, peer in zip(options, peers, strict=True))
    how = replace(optimization(config.optim, student), peers=own)
    method: TransferMethod[Any] = make(config.method, networks=list(networks), optimization=how)
    check_peer_entries(config.optim, method.learners - 1)
    has_router = config.router._target_ is not None
    if method.routed and not has_router:
        raise UserError(f"method={config.method.name} learns from routed targets: give a router, e.g. router=teacher")
    if has_router and not method.routed:
        raise UserError(f"in method={config.method.name} the networks teach each other: use it with router=none")
    learning = peers[: method.learners - 1]
    for network in [student, *learning]:
        if not any(parameter.requires_grad for parameter in network.parameters()):
            raise UserError(f"{network.name} is to learn, but all its parameters are frozen (requires_grad is False)")
    return method


def check_peer_entries(options: DictConfig, peers: int) -> None:
    """Raise `UserError` if ``optim.peers`` has more entries than networks that learn."""
    if len(options.peers) > peers:
        raise UserError(f"optim.peers has {len(options.peers)} entries, but {peers} networks learn besides the student")


def peer_options(options: DictConfig, peers: int) -> list[DictConfig]:
    """Return the options of each peer's optimiser: the student's, overridden by ``optim.peers``.

    An entry with its own optimiser takes the optimiser's options from that alone.

    Raises:
        UserError: If ``optim.peers`` has more entries than there are networks, or an unknown option.
    """
    check_peer_entries(options, peers)
    common: Any = OmegaConf.to_container(options, resolve=True)
    own: list[dict[str, Any]] = common.pop("peers")
    for number, entry in enumerate(own):
        if unknown := set(entry) - set(common):
            hint = nearest(min(unknown), list(common))
            raise UserError(f"optim.peers[{number}] has no option '{min(unknown)}'.{hint}")
        if "_target_" not in entry.get("optimizer", {}):
            entry["optimizer"] = {**common["optimizer"], **entry.get("optimizer", {})}
    return [OmegaConf.create({**common, **entry}) for entry in [*own, *[{}] * (peers - len(own))]]


def routing_rule(
    config: DictConfig, method: TransferMethod[Any], models: Mapping[str, Classifier]
) -> RoutingRule | None:
    """Return the rule that ``router=`` names, if the method needs one; raise `UserError` if it cannot route."""
    if not method.routed:
        return None
    rule: RoutingRule = make(config.router)
    rule.candidates([LiveSource(role, model) for role, model in models.items()])
    check_kept_logits(config.store, rule, method.top_classes, models["student"].num_classes)
    return rule


def check_kept_logits(options: DictConfig, rule: RoutingRule, top_classes: int | None, classes: int) -> None:
    """Raise `UserError` if what ``store.top_k`` keeps of the logits would change the choices or the loss.

    Args:
        options: The config group ``store``.
        rule: Chooses on the logits.
        top_classes: Over how many of the target's largest classes the loss goes; None for all.
        classes: Number of classes.
    """
    kept = options.top_k
    if options.mode == "off" or make_form(kept, classes).name == Full.name:
        return
    mend = f"but store.top_k={kept} keeps only the largest besides the label's: use store.top_k=null or store=off"
    if rule.needs_full_logits:
        name = re.sub("(?<=[a-z])(?=[A-Z])", "_", type(rule).__name__).lower()
        raise UserError(f"router={name} compares what all logits say, {mend}")
    if top_classes is not None and kept < top_classes < classes:
        raise UserError(f"the loss goes over the {top_classes} largest classes of the target, {mend}")


def sample_router(
    setting: Setting, initial: Mapping[str, Classifier], epochs: int, features: bool = False
) -> list[Callback]:
    """Return the sample router over the initial student and the teachers, where there is a rule to route by."""
    rule = setting.rule
    if rule is None:
        return []
    candidates = prepared(rule, initial, setting)
    sources = setting.outputs.sources(candidates, setting.data, epochs, features)
    return [SampleRouter(sources, rule, features)]


def prepared(rule: RoutingRule, initial: Mapping[str, Classifier], setting: Setting) -> list[LiveSource]:
    """Return the candidates of a rule, once it has seen what they say of the plain training images that it asks for."""
    candidates = rule.candidates([LiveSource(name, model) for name, model in initial.items()])
    if rule.prepared_on is None:
        return candidates
    data = setting.data
    shown = data.holdout_images if rule.prepared_on == "holdout" else data.training_images
    images = [shown(candidate.classifier.framing) for candidate in candidates]
    logits = [
        all_logits(candidate.classifier, view, setting.outputs)
        for candidate, view in zip(candidates, images, strict=True)
    ]
    rule.prepare(torch.stack(logits), torch.from_numpy(images[0].labels))
    return candidates


def restraint(config: DictConfig) -> list[Callback]:
    """Return the callback that restrains the weights, if ``restraint=`` names one."""
    return [make(config.restraint, batch=samples_per_step(config))] if config.restraint._target_ else []
