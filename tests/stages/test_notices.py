import logging
from pathlib import Path

import pytest
import torch
from conftest import Command

from ktlight.answers.ask import Answers
from ktlight.models.provenance import Provenance
from ktlight.stages.notices import is_near_chance, warn_of_guessers, warn_of_seen_images
from tests.tiny import CLASSES, classifier


@pytest.mark.parametrize(
    ("acc", "count", "classes", "near"),
    [(10, 1000, 10, True), (12, 1000, 10, True), (13, 1000, 10, False), (30, 20, 10, False), (25, 20, 10, True),
     (0, 1437, 10, True), (0.3, 1000, 1000, True), (1, 1000, 1000, False)],
)  # fmt: skip
def test_what_guessing_gives(acc, count, classes, near):
    """By hand: 10% of 1,000 samples has a standard deviation of 0.95 points, so up to 12.2% is guessing."""
    assert is_near_chance(acc, count, classes) is near


def test_a_teacher_that_guesses_is_named(caplog):
    label = torch.arange(200) % CLASSES
    good, guesser = classifier(1), classifier(2)
    said = {"student": label, "teacher1": label, "teacher2": (label + 1) % CLASSES}
    before = Answers(torch.arange(200), label, said, {}, label)
    with caplog.at_level(logging.WARNING):
        warn_of_guessers(before, {"teacher1": good, "teacher2": guesser})
    (message,) = caplog.messages
    assert message.startswith("The teacher2 tiny2 is right on 0.00% of 200 images, as guessing among 4 classes is")


def test_who_may_have_seen_the_held_out_images_is_named(caplog):
    models = {role: classifier(number) for number, role in enumerate(("student", "teacher1", "teacher2", "teacher3"))}
    models["student"].provenance = Provenance("zoo", "a", epochs=1, seed=0, acc=50.0, holdout=0.1)
    models["teacher1"].provenance = Provenance("zoo", "b", epochs=1, seed=0, acc=50.0)
    models["teacher2"].provenance = Provenance("checkpoint", "c.pt")
    with caplog.at_level(logging.WARNING):
        warn_of_seen_images([], 0.1, models)
        warn_of_seen_images(["guard=wise"], 0.1, {"student": models["student"], "teacher3": models["teacher3"]})
        assert not caplog.messages
        warn_of_seen_images(["guard=wise", "the router"], 0.1, models)
    (message,) = caplog.messages
    assert message.startswith("guard=wise and the router: ")
    assert message.endswith("for teacher1 (zoo:b (1 epoch, seed 0, 50.00%)), teacher2 (checkpoint: c.pt)")


def test_a_run_says_that_its_models_were_trained_without_the_held_out_images(command: Command, tmp_path: Path) -> None:
    ended = command(
        "method=kl", "guard=rollback", "student=test_vit", "teacher=test_resnet", "pretrain.epochs=1",
        "trainer.max_epochs=1",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert "trained without the 10% held-out images; " in ended.out
    assert "to use your own weights: student.checkpoint=" in ended.out
    assert "is weak" not in ended.out
