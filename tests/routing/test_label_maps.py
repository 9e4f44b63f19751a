"""Routing with a mapped teacher is routing with one whose head was sliced by hand."""

import copy
from typing import Any

import pytest
import tiny
import torch
from tiny import CLASSES
from torch import Tensor, nn
from torch.testing import assert_close

from ktlight.methods.distillation import Distillation
from ktlight.models.classifier import Classifier
from ktlight.models.label_map import LabelMap
from ktlight.models.sources import LiveSource
from ktlight.routing.confidence import Entropy, Margin, MostConfident
from ktlight.routing.fixed import Fixed
from ktlight.routing.flips import NoNegativeFlips
from ktlight.routing.router import SampleRouter
from ktlight.routing.rules import RoutingRule
from ktlight.routing.soft import Soft
from ktlight.store.form import Full
from ktlight.store.source import StoredSource

OWN = [2, -1, 0, 3, -1, 1]
RULES: dict[str, RoutingRule] = {
    "most_confident": MostConfident(use_labels=True),
    "most_confident_unsup": MostConfident(use_labels=False),
    "margin": Margin(use_labels=True),
    "entropy": Entropy(),
    "soft": Soft(1.0, use_labels=True),
    "teacher": Fixed(1),
    "no_negative_flips": NoNegativeFlips(),
}


def teacher(classes: int = 6) -> Classifier:
    """Return a linear classifier of other classes, about as confident as the student."""
    torch.manual_seed(7)
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * tiny.SIZE**2, classes))
    return Classifier(network, tiny.Scale(), name="foreign", architecture="tiny", num_classes=classes)


def mapped(classes: list[int] = OWN) -> Classifier:
    classifier = teacher(len(classes))
    classifier.answer_in(LabelMap(classes, CLASSES, "names"))
    return classifier.frozen_copy()


def sliced_by_hand() -> Classifier:
    classifier, rows = teacher(), [OWN.index(y) for y in range(CLASSES)]
    layer = classifier.network[1]
    layer.weight, layer.bias = nn.Parameter(layer.weight[rows]), nn.Parameter(layer.bias[rows])
    classifier.num_classes = CLASSES
    return classifier.frozen_copy()


def routed(rule: RoutingRule, classifier: Classifier, batch: Any) -> tuple[Tensor, Tensor]:
    sources = [LiveSource("student", tiny.classifier(0).frozen_copy()), LiveSource("teacher", classifier)]
    router = SampleRouter(rule.candidates(sources), rule, initial=sources[0])
    return router.rule(router.ask(batch), batch, None)


@pytest.mark.parametrize("name", RULES)
def test_a_mapped_teacher_routes_as_one_that_was_sliced_by_hand(name: str) -> None:
    batch = tiny.batch(200)
    source_B, target_BC = routed(RULES[name], mapped(), batch)
    expected_B, expected_BC = routed(RULES[name], sliced_by_hand(), batch)
    assert torch.equal(source_B, expected_B)
    assert_close(target_BC.softmax(1), expected_BC.softmax(1))


@pytest.mark.parametrize("name", RULES)
def test_permuted_classes_route_to_the_last_bit(name: str) -> None:
    batch, order = tiny.batch(200), [2, 0, 3, 1]
    straight = teacher(CLASSES)
    permuted = copy.deepcopy(straight)
    layer = permuted.network[1]
    # logit z of the permuted teacher is that of class order[z]
    layer.weight, layer.bias = nn.Parameter(layer.weight[order]), nn.Parameter(layer.bias[order])
    permuted.answer_in(LabelMap(order, CLASSES, "permuted"))
    for said, expected in zip(
        routed(RULES[name], permuted.frozen_copy(), batch),
        routed(RULES[name], straight.frozen_copy(), batch),
        strict=True,
    ):
        assert torch.equal(said, expected)


def test_the_mapped_mass_of_every_candidate_is_in_the_batch() -> None:
    batch: Any = tiny.batch(20)
    routed(RULES["soft"], mapped(), batch)
    theta = mapped().own_logits(batch["image"]).softmax(1)
    assert_close(batch["mapped_mass"], torch.stack([torch.ones(20), theta[:, [0, 2, 3, 5]].sum(1)]))


def test_the_initial_student_speaks_for_a_class_that_the_teacher_lacks() -> None:
    batch: Any = tiny.batch(30)
    lacking = mapped([0, 1, 1, -1, 2])  # none is class 3
    _, target_BC = routed(RULES["teacher"], lacking, batch)
    theta, student = lacking.own_logits(batch["image"]).softmax(1), tiny.classifier(0)(batch["image"]).softmax(1)
    expected = theta[:, 3:4] * student
    for z, y in enumerate([0, 1, 1, -1, 2]):
        if y >= 0:
            expected[:, y] += theta[:, z]
    assert_close(target_BC.softmax(1), expected)


def test_a_stored_teacher_is_mapped_when_it_is_read() -> None:
    batch: Any = tiny.batch(10)
    live = LiveSource("teacher", mapped())
    stored = StoredSource("teacher", {0: live.logits(batch)}, torch.arange(10), Full(), label_map=live.label_map)
    assert stored.logits(batch).shape == (10, 6)
    said = [SampleRouter([source], RULES["teacher"]).ask(batch) for source in (live, stored)]
    assert said[0].shape == (1, 10, CLASSES) and torch.equal(*said)


def test_training_runs_with_a_mapped_teacher() -> None:
    rule = RULES["most_confident"]
    sources = [LiveSource("student", tiny.classifier(0).frozen_copy()), LiveSource("teacher", mapped())]
    method = Distillation(
        [tiny.classifier(0)], tiny.optimization(), name="kl", soft_loss="kl", mixing=1.0, temperature=1.0
    )
    before = method.networks[0].network[1].weight.clone()
    tiny.fit(method, callbacks=[SampleRouter(sources, rule)])
    assert not torch.equal(method.networks[0].network[1].weight, before)


def test_confidence_times_mapped_mass() -> None:
    batch: Any = tiny.batch(300)
    source_B, _ = routed(MostConfident(use_labels=True, mapped_mass=True), mapped(), batch)
    theta = mapped().own_logits(batch["image"]).softmax(1)
    student = tiny.classifier(0)(batch["image"]).softmax(1)
    for row, y in enumerate(batch["label"].tolist()):
        assert source_B[row] == int(theta[row, OWN.index(y)] > student[row, y])
    assert 0 < source_B.float().mean() < 1
    plain_B, _ = routed(MostConfident(use_labels=True), mapped(), batch)
    assert (source_B <= plain_B).all() and not torch.equal(source_B, plain_B)


@pytest.mark.parametrize(
    "rule", [Margin(True, mapped_mass=True), Entropy(mapped_mass=True), Soft(1.0, True, mapped_mass=True)]
)
def test_what_is_not_mapped_counts_in_every_measure(rule: RoutingRule) -> None:
    batch: Any = tiny.batch(200)
    source_B, _ = routed(rule, mapped(), batch)
    theta = mapped().own_logits(batch["image"]).softmax(1).double()
    student = tiny.classifier(0)(batch["image"]).softmax(1).double()
    kept = [OWN.index(y) for y in range(CLASSES)]
    teacher = torch.cat([theta[:, kept], 1 - theta[:, kept].sum(1, keepdim=True)], 1)
    for row, y in enumerate(batch["label"].tolist()):
        margins, entropies = [], []
        for chances in (student[row], teacher[row]):
            margins.append(chances[y] / max(chance for kind, chance in enumerate(chances) if kind != y))
            entropies.append(-(chances * chances.log()).sum())
        better = {Margin: margins[1] > margins[0], Entropy: entropies[1] < entropies[0]}
        assert source_B[row] == int(better.get(type(rule), teacher[row, y] > student[row, y]))
    assert isinstance(rule, Entropy) or 0 < source_B.float().mean() < 1  # with six classes it is never the surer one
