"""What a transfer would cost: forward passes of single images, and seconds on this machine."""

import copy
import time
from collections.abc import Mapping, Sequence

from omegaconf import DictConfig

from ktlight.answers.stored import OutputStore
from ktlight.data.datamodule import ImageDataModule
from ktlight.data.ordered import OrderedView
from ktlight.models.classifier import Classifier
from ktlight.models.sources import LiveSource
from ktlight.recommendation.candidates import Candidate
from ktlight.recommendation.methods import Methods
from ktlight.routing.rules import RoutingRule
from ktlight.training.length import planned_epochs
from ktlight.types import Batch

Roles = Mapping[str, Classifier]

TRAINING = 3
"""Forward passes that one image costs in training: forward, and backward twice as much."""


def forward_passes(
    config: DictConfig, data: ImageDataModule, rule: RoutingRule, models: Roles, learner: Classifier
) -> dict[str, int]:
    """Return the forward passes of a transfer by role, with nothing in the store yet.

    Args:
        config: Of the transfer.
        data: As many training images as it has, in batches of any size.
        rule: Its routing rule.
        models: The student and the teacher by role.
        learner: The student before it was frozen.
    """
    own = copy.copy(data)
    own.batch_size = config.data.batch_size
    epochs = planned_epochs(config, own, [learner])
    views = epochs if config.data.views is None else min(config.data.views, epochs)
    candidates = rule.candidates([LiveSource(role, model) for role, model in models.items()])
    passes = {source.name: data.num_train * views for source in candidates}
    learning = data.num_train * epochs * (TRAINING + rule.needs_student)
    return {**passes, "student": passes.get("student", 0) + learning}


def seconds_per_image(model: Classifier, images: OrderedView, outputs: OutputStore) -> float:
    """Return the time of a model's forward pass of one image, from a second look at the same batch."""
    source = LiveSource("", model)
    source.to(outputs.device.root)
    batch = next(iter(images.batches()))
    moved: Batch = {**batch, "image": batch["image"].to(outputs.device.root)}
    with outputs.device.context():
        source.logits(moved)
        started = time.perf_counter()
        source.logits(moved).sum().item()  # waits for the device
    return (time.perf_counter() - started) / len(batch["label"])


def costs(
    candidates: Sequence[Candidate], methods: Methods, data: ImageDataModule, outputs: OutputStore
) -> list[tuple[int, float]]:
    """Return the forward passes and the seconds of each candidate's transfer.

    Args:
        candidates: The candidates.
        methods: Their configs.
        data: Of the probes; the transfers have as many training images.
        outputs: Where models run.
    """
    speed: dict[str, float] = {}
    spent = []
    for candidate in candidates:
        models = {"student": candidate.student, "teacher": candidate.teacher}
        weights = {role: model.weights_hash() for role, model in models.items()}
        for role, model in models.items():
            if weights[role] not in speed:
                speed[weights[role]] = seconds_per_image(model, data.holdout_images(model.framing), outputs)
        rule = methods.rule(candidate.method)
        passes = forward_passes(methods.transfer(candidate.method), data, rule, models, methods.networks["student"])
        seconds = sum(count * speed[weights[role]] for role, count in passes.items())
        spent.append((sum(passes.values()), seconds))
    return spent
