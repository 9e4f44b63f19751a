"""Whose classes are in doubt, so that guessing on training images is no weakness but a wrong order."""

import re
from typing import Any

import pytest
import tiny
import torch

from ktlight.answers.stored import OutputStore
from ktlight.errors import UserError
from ktlight.models.label_map import LabelMap, map_to_learn
from ktlight.models.provenance import Provenance
from ktlight.stages.labels import check_labels, in_doubt, learn_label_map


@pytest.mark.parametrize("source", ["checkpoint", "hub", "torchvision", "zoo"])
def test_weights_whose_classes_go_by_their_number_alone(source: Any) -> None:
    model = tiny.classifier()
    model.provenance = Provenance(source, "somewhere")
    assert in_doubt(model)
    model.class_names = ("a", "b", "c", "d")  # which were compared with the data's
    assert not in_doubt(model)


def test_networks_from_python_are_taken_as_they_are_unless_they_are_mapped() -> None:
    model = tiny.classifier()
    model.provenance = Provenance("python", "Net")
    assert not in_doubt(model)
    model.answer_in(LabelMap([1, 0, 2, -1], 3, "given"))
    assert in_doubt(model)


@pytest.mark.parametrize(("role", "option"), [("teacher", "teacher.labels=learned"), ("teacher2", "{labels: learned}")])
def test_who_guesses_is_told_the_option_that_there_is(role: str, option: str) -> None:
    guesser = tiny.classifier(3)
    guesser.answer_in(LabelMap([1, 2, 3, 0], tiny.CLASSES, "given"))
    outputs = OutputStore(tiny.config("store=off"))
    with pytest.raises(UserError, match=f"the {role} tiny3 is right on .* Give it {re.escape(option)} to count"):
        check_labels({role: guesser.freeze()}, tiny.data_module(), outputs)


@pytest.mark.parametrize("count", [48, 50])  # the second gives batches smaller than the largest that may be
def test_a_map_is_learned_from_a_model_that_runs_now(count: int) -> None:
    """The shares of each of the network's classes, counted image by image."""
    model, data = tiny.classifier(3), tiny.data_module(train=count)
    model.answer_in(map_to_learn(tiny.CLASSES, tiny.CLASSES))
    learned = learn_label_map(model, data, OutputStore(tiny.config("store=off"))).label_map
    expected_ZC = torch.full((tiny.CLASSES, tiny.CLASSES), 0.5, dtype=torch.float64)
    for batch in data.training_images(model.framing).batches():
        for image, label in zip(batch["image"], batch["label"], strict=True):
            expected_ZC[:, label] += model.own_logits(image[None])[0].double().softmax(0)
    expected_ZC /= expected_ZC.sum(1, keepdim=True)
    torch.testing.assert_close(learned.weights_ZC, expected_ZC.float())  # type: ignore[union-attr]
