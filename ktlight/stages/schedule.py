"""Schedules: how a student learns from several teachers, and in which order."""

import copy
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from ktlight.answers.ask import Answers, answers
from ktlight.errors import UserError
from ktlight.functional.randomness import SCHEDULE_STREAM, random_order
from ktlight.models.classifier import Classifier
from ktlight.report.folder import RunFolder
from ktlight.report.results import accuracy
from ktlight.stages.averaging import average_into, held_out, state_of
from ktlight.stages.setting import Setting
from ktlight.stages.stage import Learned, learn

logger = logging.getLogger(__name__)

Teachers = Mapping[str, Classifier]


@dataclass(frozen=True)
class Stage:
    """One stage of a schedule.

    Attributes:
        teacher: Role of the teacher.
        epochs: Number of epochs.
        prediction: Predictions of the stage's student on the test samples, ``[n]``.
        learned: Result of the training.
    """

    teacher: str
    epochs: int
    prediction: Tensor
    learned: Learned


@dataclass(frozen=True)
class Outcome:
    """Result of a schedule, besides the student's weights, which it changes in place.

    Attributes:
        learners: Number of networks that learned, the student first.
        teacher_share: Mean percentage of the training samples that teachers taught; None without a router.
        epochs: Total number of epochs.
        stages: The stages, if there are several.
        average: For a soup, the weight of each stage's student, by teacher.
        seconds: In a pack, the run's own part of the time.
    """

    learners: int
    teacher_share: float | None
    epochs: int
    stages: tuple[Stage, ...] = ()
    average: Mapping[str, float] | None = None
    seconds: float | None = None


def parallel(setting: Setting, student: Classifier, teachers: Teachers, folder: RunFolder, before: Answers) -> Outcome:
    """Train once with all teachers at the same time."""
    (epochs,) = stage_epochs(setting.config.schedule.total_epochs, setting.epochs, 1)
    learned = learn(setting, student, teachers, folder, epochs)
    return Outcome(learned.learners, learned.teacher_share, epochs)


def sequential(
    setting: Setting, student: Classifier, teachers: Teachers, folder: RunFolder, before: Answers
) -> Outcome:
    """Train with one teacher after another; each stage's initial student is the result of the stage before."""
    config, stages = setting.config, []
    by_accuracy = config.schedule.order in ("asc", "desc")
    right = teacher_accuracy(setting, teachers, before) if by_accuracy else {}
    order = ordered(list(teachers), config.schedule.order, right, config.seed)
    lengths = stage_epochs(config.schedule.total_epochs, setting.epochs, len(order))
    for number, (role, epochs) in enumerate(zip(order, lengths, strict=True), 1):
        logger.info("Stage %d of %d: %s teaches for %d epochs", number, len(order), teachers[role].name, epochs)
        learned = learn(setting.of_stage(number), student, {role: teachers[role]}, folder.stage(number, role), epochs)
        stages.append(Stage(role, epochs, predictions_of(student, setting), learned))
    return outcome_of(stages)


def soup(setting: Setting, student: Classifier, teachers: Teachers, folder: RunFolder, before: Answers) -> Outcome:
    """Train a student with each teacher alone, and average their weights (Wortsman et al., "Model soups", ICML 2022).

    A ``greedy`` average adds students in order of their accuracy on the held-out training images, and keeps each that
    does not lower the average's accuracy there.
    """
    stages, states, scores = [], {}, {}
    greedy = setting.config.schedule.average == "greedy"
    lengths = stage_epochs(setting.config.schedule.total_epochs, setting.epochs, len(teachers))
    for number, ((role, teacher), epochs) in enumerate(zip(teachers.items(), lengths, strict=True), 1):
        logger.info("Student %d of %d learns from %s", number, len(teachers), teacher.name)
        single = copy.deepcopy(student)
        learned = learn(setting.of_stage(number), single, {role: teacher}, folder.stage(number, role), epochs)
        stages.append(Stage(role, epochs, predictions_of(single, setting), learned))
        states[role] = state_of(single)
        if greedy:
            scores[role] = held_out(single, setting).score
    chosen = list(states)
    if greedy:
        best, *others = sorted(states, key=scores.__getitem__, reverse=True)
        chosen, score = [best], scores[best]
        for role in others:
            mix(student, states, [*chosen, role], setting)
            if (mixed := held_out(student, setting).score).acc >= score.acc:
                chosen, score = [*chosen, role], mixed
    mix(student, states, chosen, setting)
    weights = {role: (role in chosen) / len(chosen) for role in states}
    return outcome_of(stages, weights)


SCHEDULES = {"parallel": parallel, "sequential": sequential, "soup": soup}


def mix(student: Classifier, states: Mapping[str, Mapping[str, Tensor]], chosen: list[str], setting: Setting) -> None:
    """Load the average of the chosen students into the student; a single one is copied exactly."""
    if len(chosen) == 1:
        student.network.load_state_dict(states[chosen[0]])
    else:
        average_into(student, [states[role] for role in chosen], [1 / len(chosen)] * len(chosen), setting)


def ordered(roles: list[str], order: str, accuracy: Mapping[str, float], seed: int) -> list[str]:
    """Return the teachers in the requested order; ties keep the given order."""
    if order in ("asc", "desc"):
        return sorted(roles, key=accuracy.__getitem__, reverse=order == "desc")
    if order == "random":
        return [roles[number] for number in random_order(np.arange(len(roles)), SCHEDULE_STREAM, seed)]
    return roles


def teacher_accuracy(setting: Setting, teachers: Teachers, before: Answers) -> dict[str, float]:
    """Return the teachers' accuracies: on the held-out training images if there are any, else on the test samples.

    The paper orders its teachers by their accuracy on the test samples.
    """
    if not len(setting.data.holdout_rows):
        return {role: accuracy(before.prediction[role], before.label) for role in teachers}
    return {role: held_out(teacher, setting).score.acc for role, teacher in teachers.items()}


def stage_epochs(total: int | None, each: int, stages: int) -> list[int]:
    """Return the epochs of each stage: ``each``, or the total divided evenly, the remainder going to the first stages.

    Args:
        total: ``schedule.total_epochs``.
        each: Epochs of each stage if there is no total.
        stages: Number of stages.

    Raises:
        UserError: If there are fewer epochs than stages.
    """
    if total is None:
        return [each] * stages
    if total < stages:
        raise UserError(f"schedule.total_epochs={total} is less than an epoch for each of the {stages} teachers")
    return [total // stages + (number < total % stages) for number in range(stages)]


def predictions_of(student: Classifier, setting: Setting) -> Tensor:
    """Return a student's predictions on the test samples, ``[n]``."""
    return answers({"student": student}, setting.data, setting.outputs).prediction["student"]


def outcome_of(stages: list[Stage], average: Mapping[str, float] | None = None) -> Outcome:
    """Combine several stages into one outcome."""
    epochs = sum(stage.epochs for stage in stages)
    shares: list[Any] = [stage.learned.teacher_share for stage in stages]
    routed = all(share is not None for share in shares)
    share = sum(share * stage.epochs for share, stage in zip(shares, stages, strict=True)) / epochs if routed else None
    return Outcome(max(stage.learned.learners for stage in stages), share, epochs, tuple(stages), average)
