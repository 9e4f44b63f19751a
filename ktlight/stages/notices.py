"""Warnings that do not stop a run: models that look wrong, decisions that are weak."""

import logging
from collections.abc import Mapping, Sequence
from math import sqrt

from ktlight.answers.ask import Answers
from ktlight.errors import shortened
from ktlight.models.classifier import Classifier
from ktlight.report.results import accuracy

logger = logging.getLogger(__name__)

SURE = 2.33  # standard deviations that guessing exceeds once in a hundred times


def is_near_chance(acc: float, count: int, classes: int) -> bool:
    """Return whether an accuracy, in percent, is consistent with guessing.

    >>> is_near_chance(11.0, 1000, 10), is_near_chance(20.0, 1000, 10)
    (True, False)
    """
    chance = 1 / classes
    return acc / 100 <= chance + SURE * sqrt(chance * (1 - chance) / count)


def warn_of_guessers(before: Answers, teachers: Mapping[str, Classifier]) -> None:
    """Warn about teachers that do no better than guessing on the test samples."""
    for role, teacher in teachers.items():
        acc = accuracy(before.prediction[role], before.label)
        if is_near_chance(acc, len(before.label), teacher.num_classes):
            logger.warning(
                "The %s %s is right on %.2f%% of %d images, as guessing among %d classes is: are its classes in the "
                "data's order, and its input size, mean and std the right ones?",
                role, teacher.name, acc, len(before.label), teacher.num_classes,
            )  # fmt: skip


def warn_of_missing_classes(role: str, model: Classifier) -> None:
    """Warn about a model that has no class for some of the data's."""
    missing = model.labels.get("missing")
    if not missing:
        return
    instead = "the initial student speaks for them" if model.label_map else "their rows start at the mean of all"
    logger.warning(
        "The %s %s has no class for %d of the data's (%s): %s. label_map=FILE.csv can say which they are",
        role, model.name, len(missing), shortened(missing), instead,
    )  # fmt: skip


def warn_of_seen_images(deciders: Sequence[str], holdout: float, models: Mapping[str, Classifier]) -> None:
    """Warn about models that may have been trained on the held-out images that parts of a run decide on.

    Args:
        deciders: The parts, such as ``guard=wise``.
        holdout: Share of the training images that is held out.
        models: The models by role.
    """
    seen = [
        f"{role} ({model.provenance})"
        for role, model in models.items()
        if model.provenance and model.provenance.may_have_seen(holdout)
    ]
    if deciders and seen:
        logger.warning(
            "%s: the decision on held-out training images is weak if they were trained on, as may be the case for %s",
            " and ".join(deciders), ", ".join(seen),
        )  # fmt: skip
