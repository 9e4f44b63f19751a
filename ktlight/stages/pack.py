"""A pack: students of several runs that learn together; a batch is read once, and equal sources are asked once."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from lightning import Trainer

from ktlight.routing.router import SampleRouter
from ktlight.routing.shared import Asked, SharedSource
from ktlight.stages.packing import batches_of, unpackable
from ktlight.stages.schedule import Outcome, stage_epochs
from ktlight.stages.stage import Lesson, prepare
from ktlight.stages.waiting import Waiting
from ktlight.store.source import StoredSource
from ktlight.store.structure import structure
from ktlight.training.member import Member
from ktlight.training.together import train_together
from ktlight.training.trainer import build_trainer, shows_progress
from ktlight.types import LogitSource

logger = logging.getLogger(__name__)

Place = Callable[[], AbstractContextManager[None]]
"""Surrounds all that is done for a run: whose log is written, and whose folder Hydra names."""


class Packed(NamedTuple):
    """A student of a pack.

    Attributes:
        lesson: What it learns.
        member: Its training.
        epochs: Number of epochs.
    """

    lesson: Lesson
    member: Member
    epochs: int

    def outcome(self) -> Outcome:
        """Return the outcome of the training, or raise the error that ended it."""
        if self.member.failure is not None:
            raise self.member.failure
        learned = self.lesson.learned(self.member.curves)
        return Outcome(learned.learners, learned.teacher_share, self.epochs, seconds=self.member.seconds)


def train_pack(waiting: Sequence[tuple[Waiting, Place]]) -> list[Callable[[], Outcome]]:
    """Train students together, and return for each a function that gives its outcome, or raises its error.

    A student whose batches are not those of most is trained alone, when it is asked for the outcome.
    """
    kinds = [None if unpackable(each.setting.config) else _kind(each) for each, _ in waiting]
    most = Counter(kind for kind in kinds if kind is not None).most_common(1)
    outcomes: list[Callable[[], Outcome]] = [each.alone for each, _ in waiting]
    fitting = [number for number, kind in enumerate(kinds) if most and kind == most[0][0]]
    if len(fitting) < 2:
        return outcomes
    config, data = waiting[fitting[0]][0].setting.config, waiting[fitting[0]][0].setting.data
    trainer, asked, packed = build_trainer(config.trainer), Asked(), []
    for number in fitting:
        each, place = waiting[number]
        try:
            with place():
                own = replace(each, setting=replace(each.setting, data=data))
                packed.append(_packed(own, place, trainer, asked))
                outcomes[number] = packed[-1].outcome
        except Exception as error:
            outcomes[number] = partial(_raise, error)
    if packed:
        train_together([each.member for each in packed], asked.forget, shows_progress(config.trainer))
    return outcomes


def _packed(waiting: Waiting, place: Place, trainer: Trainer, asked: Asked) -> Packed:
    setting, config = waiting.setting, waiting.setting.config
    (epochs,) = stage_epochs(config.schedule.total_epochs, setting.epochs, 1)
    lesson = prepare(setting, waiting.student, waiting.teachers, epochs)
    share_sources(lesson, asked)
    lesson.data.trainer = trainer  # so that images that fit there are kept on its device
    member = Member(
        trainer, lesson.method, lesson.data, waiting.folder, config.trainer, max_epochs=epochs, resume=config.resume,
        callbacks=lesson.callbacks, loggers=setting.loggers, within=place,
    )  # fmt: skip
    return Packed(lesson, member, epochs)


def share_sources(lesson: Lesson, asked: Asked) -> None:
    """Let the router of a lesson ask its sources only what no other router has asked about the same batch."""

    def shared(source: LogitSource) -> LogitSource:
        model = lesson.asked[source.name]
        kept = (source.form.name, bool(source.features)) if isinstance(source, StoredSource) else None
        key = (kept, model.weights_hash(), model.architecture, structure(model.network), repr(model.preprocess))
        return SharedSource(source, key, asked)

    for router in (each for each in lesson.callbacks if isinstance(each, SampleRouter)):
        router.sources = [shared(source) for source in router.sources]
        router.initial = router.initial and shared(router.initial)


def _kind(waiting: Waiting) -> str:
    setting = waiting.setting
    return f"{batches_of(setting.config)} {setting.data.dataset.identity}"


def _raise(error: Exception) -> Outcome:
    raise error
