"""One stage of a transfer: a student learns from given teachers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lightning.pytorch.callbacks import Callback
from omegaconf import DictConfig, OmegaConf

from ktlight.config.instantiate import make
from ktlight.data.datamodule import ImageDataModule
from ktlight.errors import UserError, nearest
from ktlight.methods.base import TransferMethod
from ktlight.models.classifier import Classifier
from ktlight.report.curves import Curves
from ktlight.report.folder import RunFolder
from ktlight.stages.setting import Setting
from ktlight.stages.sources import sample_router
from ktlight.training.assemble import optimization, seed
from ktlight.training.length import samples_per_step
from ktlight.training.trainer import fit


@dataclass(frozen=True)
class Learned:
    """Result of a stage, besides the networks' weights, which it changes in place.

    Attributes:
        learners: Number of networks that learned, the student first.
        teacher_share: Percentage of the training samples that teachers taught; None without a router.
    """

    learners: int
    teacher_share: float | None


@dataclass(frozen=True)
class Lesson:
    """A stage that is ready to begin.

    Attributes:
        method: Over the networks.
        data: As the method sees it.
        callbacks: The sample router, if there is one, then the restraint, if there is one.
        asked: The frozen models that the router may ask, by role.
        teachers: The roles of the teachers.
    """

    method: TransferMethod[Any]
    data: ImageDataModule
    callbacks: list[Callback]
    asked: Mapping[str, Classifier]
    teachers: tuple[str, ...]

    def learned(self, curves: Curves) -> Learned:
        """Return the result of the stage."""
        shares = [curves.mean(f"share/{role}") or 0.0 for role in self.teachers]
        return Learned(self.method.learners, sum(shares) if self.method.routed else None)


def learn(
    setting: Setting, student: Classifier, teachers: Mapping[str, Classifier], folder: RunFolder, epochs: int
) -> Learned:
    """Train the student with teachers, given by role, for a number of epochs, writing to ``folder``."""
    lesson = prepare(setting, student, teachers, epochs)
    config = setting.config
    curves = fit(
        config.trainer, lesson.method, lesson.data, folder,
        max_epochs=epochs,
        resume=config.resume,
        keep_end=setting.several_stages,
        callbacks=lesson.callbacks,
        loggers=setting.loggers,
    )  # fmt: skip
    return lesson.learned(curves)


def prepare(setting: Setting, student: Classifier, teachers: Mapping[str, Classifier], epochs: int) -> Lesson:
    """Return a stage of so many epochs.

    The student at the start is the stage's initial student: its frozen copy is source 0 of the router.
    """
    config = setting.config
    seed(config)
    method = build_method(config, [student, *teachers.values()])
    initial = {"student": student, **teachers} if method.routed else {}
    initial = {role: model.frozen_copy() for role, model in initial.items()}
    callbacks = [*sample_router(setting, initial, epochs, method.needs_features), *restraint(config)]
    data = setting.data.seen_by(method.framings, method.views_at_once)
    return Lesson(method, data, callbacks, initial, tuple(teachers))


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
        learns = "lets the networks teach each other" if method.has_peers else "learns from the labels alone"
        raise UserError(f"method={config.method.name} {learns}, so there is nothing to route: use it with router=none")
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


def restraint(config: DictConfig) -> list[Callback]:
    """Return the callback that restrains the weights, if ``restraint=`` names one."""
    return [make(config.restraint, batch=samples_per_step(config))] if config.restraint._target_ else []
