"""Models that answer in other classes than the data's, or may do: what is done about them before they are used."""

import logging
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch

from ktlight.answers.ask import ask, ask_in_own_classes
from ktlight.answers.stored import OutputStore
from ktlight.config.model_source import MODEL_GROUPS
from ktlight.data.datamodule import ImageDataModule
from ktlight.errors import UserError
from ktlight.functional.label_spaces import count_together, learned_weights
from ktlight.functional.randomness import SAMPLE_STREAM, random_order
from ktlight.models.classifier import Classifier
from ktlight.models.label_map import LEARNED, learned_map
from ktlight.models.slicing import slice_head
from ktlight.report.results import accuracy
from ktlight.stages.notices import is_near_chance

logger = logging.getLogger(__name__)

LOOKED_AT = 512  # training images; a teacher that guesses shows on as many


def settle_labels(
    teachers: Mapping[str, Classifier],
    data: ImageDataModule,
    outputs: OutputStore,
    *,
    learn: bool = False,
    peers: bool = False,
) -> None:
    """Make teachers, by role and in place, ready to answer in the data's classes.

    Args:
        teachers: The teachers.
        data: Its training images are what labels are learned from and checked on.
        outputs: The store, and where models run.
        learn: Whether the teachers learn too, and so need heads for these classes.
        peers: Whether they teach without a router, in which the initial student would speak for classes that they lack.

    Raises:
        UserError: If one guesses; see `check_labels`. If one is to learn, and its head cannot be sliced.
    """
    for teacher in teachers.values():
        learn_label_map(teacher, data, outputs)
    check_labels(teachers, data, outputs)
    for teacher in teachers.values():
        label_map = teacher.label_map
        if label_map is not None and (learn or (peers and label_map.missing)):
            slice_head(teacher, label_map)


def learn_label_map(classifier: Classifier, data: ImageDataModule, outputs: OutputStore) -> Classifier:
    """Return a classifier, in place, whose map is learned from the plain training images if it is one to be learned.

    The held-out ones have no part in it.
    """
    label_map = classifier.label_map
    if label_map is None or label_map.how != LEARNED:
        return classifier
    images = data.training_images(classifier.framing)
    counts_ZC = torch.zeros(label_map.own_classes, label_map.num_classes, dtype=torch.float64)
    labels_N = torch.from_numpy(images.labels)
    for own_logits_BZ in ask_in_own_classes(classifier, images, outputs):  # batches of whatever size
        labels_B, labels_N = labels_N[: len(own_logits_BZ)], labels_N[len(own_logits_BZ) :]
        counts_ZC += count_together(own_logits_BZ, labels_B, label_map.num_classes)
    classifier.answer_in(learned_map(learned_weights(counts_ZC)))
    logger.info(
        "%s: its %d classes are mapped to %d by what it says of %d training images",
        classifier.name, label_map.own_classes, label_map.num_classes, len(images.rows),
    )  # fmt: skip
    return classifier


def check_labels(teachers: Mapping[str, Classifier], data: ImageDataModule, outputs: OutputStore) -> None:
    """Raise `UserError` if a teacher whose classes are mapped, or go by no names, guesses on training images.

    A wrong order of classes is the most frequent silent fault. A teacher whose names are the data's, or that was
    trained on the data, may be as weak as it likes.
    """
    if outputs.mode == "readonly":
        outputs = outputs.live()  # so few images are no reason to fill the store first
    for role, teacher in teachers.items():
        if not in_doubt(teacher):
            continue
        images = data.training_images(teacher.framing)
        images = replace(images, rows=np.sort(random_order(images.rows, SAMPLE_STREAM, data.seed)[:LOOKED_AT]))
        predictions = torch.cat([logits_BC.argmax(1) for logits_BC in ask(teacher, images, outputs)])
        acc = accuracy(predictions, torch.from_numpy(images.labels))
        if is_near_chance(acc, len(images.rows), teacher.num_classes):
            raise UserError(
                f"the {role} {teacher.name} is right on {acc:.2f}% of {len(images.rows)} training images, as guessing "
                f"among {teacher.num_classes} classes is, and {_how(teacher)}: are they in another order, or others? "
                f"Give it {_option(role, 'labels', 'learned')} to count on training images what its classes mean, "
                f"{_option(role, 'label_map', 'FILE')}, or {_option(role, 'labels', 'same')} if it is known to be that "
                "weak (and check its img_size, mean and std)"
            )


def in_doubt(model: Classifier) -> bool:
    """Return whether a model's classes are mapped, or nothing but their number says that they are the data's."""
    if model.label_map is not None:
        return True
    outside = model.provenance is not None and model.provenance.source != "python"
    return outside and model.class_names is None


def _how(teacher: Classifier) -> str:
    if teacher.label_map is None:
        return "nothing but their number says that its classes are the data's"
    return f"its classes are mapped ({teacher.label_map.extra_repr()})"


def _option(role: str, name: str, value: str) -> str:
    """Return an option of a model as it is written: a model of a list has it in its entry there."""
    return f"{role}.{name}={value}" if role in MODEL_GROUPS else f"{{{name}: {value}}}"
