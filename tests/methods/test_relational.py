"""cd and rkd: their losses from written-out loops, and what they do to a student."""

import math
from typing import Any

import pytest
import tiny
import torch
from torch import Tensor

from ktlight.errors import UserError
from ktlight.methods.relational import CD, RKD
from ktlight.models.classifier import Classifier
from ktlight.routing.fixed import Fixed
from ktlight.routing.flips import NoNegativeFlips
from tests.methods.features import featured, networks, train


def cd(models: list[Classifier], **options: Any) -> CD:
    weights = {"beta": 10.0, "alpha": 0.0, "gamma": 0.1, "temperature": 1.0, "double_softmax": False}
    return CD(models, tiny.optimization(lr=0.05), name="cd", **{**weights, **options})


def loop(batch: dict[str, Any], student: Classifier, sources: list[Tensor], options: dict[str, float]) -> float:
    """The loss of a batch, one pair of samples after the other."""
    logits = student(batch["image"])
    features = student.network.body(student.preprocess(batch["image"]))
    source, total = batch["source"].tolist(), 0.0
    taught = [i for i in range(len(source)) if source[i] >= 0]
    for i in taught:
        rows = []
        for each in (sources[source[i]], features):
            similarities = [torch.cosine_similarity(each[i], each[j], dim=0) for j in taught if j != i]
            rows.append((torch.stack(similarities) / options["temperature"]).log_softmax(0))
        target, own = rows
        total += options["beta"] * options["temperature"] ** 2 * float((target.exp() * (target - own)).sum())
        total -= options["gamma"] * float(logits[i].log_softmax(0)[batch["label"][i]])
        target = (batch["target"][i] / options["temperature"]).log_softmax(0)
        own = (logits[i] / options["temperature"]).log_softmax(0)
        total += options["alpha"] * options["temperature"] ** 2 * float((target.exp() * (target - own)).sum())
    return total / len(source)


@pytest.mark.parametrize("left_out", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {"beta": 10.0, "gamma": 0.1, "alpha": 0.0, "temperature": 1.0},
        {"beta": 3.0, "gamma": 0.0, "alpha": 0.7, "temperature": 2.0},
    ],
)
@torch.no_grad()
def test_the_loss_equals_a_loop_over_pairs(options: dict[str, float], left_out: bool) -> None:
    models = networks()
    rule = NoNegativeFlips() if left_out else None
    with torch.enable_grad():
        _, record = train(cd(networks(), **options), models, rule, limit_train_batches=1)
    batch = record.batches[0]
    assert set(batch["source"].tolist()) == ({-1, 1} if left_out else {0, 1})
    sources = [model.network.body(model.preprocess(batch["image"])) for model in models]
    expected = loop(batch, models[0], sources, options)
    assert float(batch["loss"]) == pytest.approx(expected, rel=1e-4)


def test_the_student_comes_to_relate_images_as_the_teacher_does() -> None:
    models = networks()
    _, record = train(cd(networks(), gamma=0.0), models, Fixed(1), max_epochs=10)
    losses = [float(batch["loss"]) for batch in record.batches]
    assert sum(losses[-6:]) < 0.5 * sum(losses[:6])


def test_a_double_softmax_is_the_cross_entropy_of_probabilities() -> None:
    models = networks()
    batch = {**tiny.batch(6), "source": torch.zeros(6, dtype=torch.int64)}
    logits = models[0](batch["image"])
    terms = cd(models, gamma=1.0, double_softmax=True).terms([logits], batch)
    expected = -logits.softmax(1).log_softmax(1)[torch.arange(6), batch["label"]].mean()
    assert float(terms["label"]) == pytest.approx(float(expected))
    assert math.isfinite(float(expected))


def test_networks_without_features_are_refused() -> None:
    for models in ([tiny.classifier(0), featured(1, 7)], [featured(1, 7), tiny.classifier(0)]):
        with pytest.raises(UserError, match=r"tiny0 \(Sequential\) has no classifier layer.*method=cd learn from"):
            cd(models)


def test_the_student_learns_alone() -> None:
    method = cd(networks())
    assert len(method.networks) == method.learners == 1 and method.routed and method.needs_features


def test_the_kl_term_alone_standardises_logits() -> None:
    models = networks()
    batch = {**tiny.batch(6), "source": torch.ones(6, dtype=torch.int64)}
    batch["target"], logits = models[1](batch["image"]), models[0](batch["image"])
    plain, standardised = (
        cd(models, alpha=1.0, standardize_logits=on).terms([3 * logits + 1], batch) for on in (False, True)
    )
    assert float(standardised["label"]) == float(plain["label"])
    expected = cd(models, alpha=1.0, standardize_logits=True).terms([logits], {**batch, "target": 2 * batch["target"]})
    torch.testing.assert_close(standardised["soft"], expected["soft"])
    assert float(standardised["soft"]) != pytest.approx(float(plain["soft"]), rel=0.1)


def rkd(models: list[Classifier], **options: Any) -> RKD:
    weights = {"beta": 1.0, "alpha": 0.0, "gamma": 0.0, "temperature": 1.0, "double_softmax": False}
    relations = {"distance_weight": 25.0, "angle_weight": 50.0}
    return RKD(models, tiny.optimization(lr=0.02), name="rkd", **{**weights, **relations, **options})


def huber(own: Tensor, target: Tensor) -> float:
    gap = abs(float(own - target))
    return gap - 0.5 if gap > 1 else gap**2 / 2


def relations(batch: dict[str, Any], features: Tensor, distance_weight: float, angle_weight: float) -> float:
    """The distances and angles of a batch, one pair and one triple of samples after the other."""
    source, total = batch["source"].tolist(), 0.0
    taught = [i for i in range(len(source)) if source[i] >= 0]
    networks = [features, *batch["features"]]
    means = [torch.stack([(x[i] - x[j]).norm() for i in taught for j in taught if i != j]).mean() for x in networks]
    for i in taught:
        others = [j for j in taught if j != i]
        pair = [(networks[number], means[number]) for number in (0, 1 + source[i])]
        gaps = [huber(*((x[i] - x[j]).norm() / mean for x, mean in pair)) for j in others]
        total += distance_weight * sum(gaps) / len(gaps)
        gaps = [
            huber(*(torch.cosine_similarity(x[j] - x[i], x[k] - x[i], dim=0) for x, _ in pair))
            for j in others for k in others if j != k
        ]  # fmt: skip
        total += angle_weight * sum(gaps) / len(gaps)
    return total / len(source)


@pytest.mark.parametrize("left_out", [False, True])
@pytest.mark.parametrize("weights", [(25.0, 50.0), (3.0, 0.0), (0.0, 2.0)])
@torch.no_grad()
def test_rkd_equals_a_loop_over_pairs_and_triples(weights: tuple[float, float], left_out: bool) -> None:
    models = networks()
    rule = NoNegativeFlips() if left_out else None
    learner = rkd(networks(), distance_weight=weights[0], angle_weight=weights[1])
    with torch.enable_grad():
        _, record = train(learner, models, rule, limit_train_batches=1)
    batch = record.batches[0]
    assert set(batch["source"].tolist()) == ({-1, 1} if left_out else {0, 1})
    features = models[0].network.body(models[0].preprocess(batch["image"]))
    assert float(batch["loss"]) == pytest.approx(relations(batch, features, *weights), rel=1e-4)


def test_with_rkd_the_student_comes_to_relate_images_as_the_teacher_does() -> None:
    _, record = train(rkd(networks()), networks(), Fixed(1), max_epochs=10)
    losses = [float(batch["loss"]) for batch in record.batches]
    assert sum(losses[-6:]) < 0.5 * sum(losses[:6])


def test_rkd_has_nothing_to_learn_from_a_source_that_is_the_student() -> None:
    _, record = train(rkd(networks()), networks(), Fixed(0), limit_train_batches=1)
    assert float(record.batches[0]["loss"]) < 1e-8
