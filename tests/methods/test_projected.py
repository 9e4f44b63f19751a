"""fitnet: its loss one sample after the other, and its maps."""

from pathlib import Path
from typing import Any

import pytest
import tiny
import torch

from ktlight.methods.projected import FitNet
from ktlight.models.classifier import Classifier
from ktlight.routing.fixed import Fixed
from ktlight.routing.flips import NoNegativeFlips
from tests.methods.features import featured, networks, resumed_and_whole, train


def fitnet(models: list[Classifier], **options: Any) -> FitNet:
    weights = {"beta": 2.0, "alpha": 0.0, "gamma": 1.0, "temperature": 1.0, "double_softmax": False}
    return FitNet(models, tiny.optimization(lr=0.02), name="fitnet", **{**weights, **options})


@pytest.mark.parametrize("rule", [None, Fixed(1), NoNegativeFlips()])
@torch.no_grad()
def test_the_loss_equals_a_loop(rule: Any) -> None:
    models, learner = networks(), fitnet(networks(), gamma=0.0)
    learner.optimization = tiny.optimization(lr=0.0)
    with torch.enable_grad():
        _, record = train(learner, models, rule, limit_train_batches=1)
    batch, total = record.batches[0], 0.0
    own = models[0].network.body(models[0].preprocess(batch["image"]))
    for row, source in enumerate(batch["source"].tolist()):
        if source >= 0:
            mapped = learner.heads[source].weight @ own[row]
            gaps = [float(a - b) ** 2 for a, b in zip(mapped, batch["features"][source][row], strict=True)]
            total += 2.0 * sum(gaps) / len(gaps)
    assert float(batch["loss"]) == pytest.approx(total / len(batch["source"]), rel=1e-4)
    assert len(set(batch["source"].tolist())) > 1 or isinstance(rule, Fixed)


def test_equal_features_through_the_identity_are_no_loss() -> None:
    method, record = fitnet([featured(0, 8), featured(0, 8)], gamma=0.0), None
    method.optimization = tiny.optimization(lr=0.0)
    make = method.make_heads

    def identities(*given: Any) -> None:
        make(*given)
        for head in method.heads:
            torch.nn.init.eye_(head.weight)

    method.make_heads = identities  # type: ignore[method-assign]
    _, record = train(method, [featured(0, 8), featured(0, 8)], Fixed(1))
    assert max(float(batch["loss"]) for batch in record.batches) < 1e-12


def test_a_map_for_each_source_that_may_be_narrower_or_wider_and_stays_out_of_the_student() -> None:
    models = [featured(0, 12), featured(1, 8)]
    method = fitnet(models)
    train(method, [model.frozen_copy() for model in models])
    assert [tuple(head.weight.shape) for head in method.heads] == [(12, 12), (8, 12)]
    assert not any("heads" in name for name in models[0].state_dict())
    one = fitnet(networks())
    train(one, networks(), Fixed(1))
    assert [tuple(head.weight.shape) for head in one.heads] == [(16, 8)]


def test_features_come_close() -> None:
    _, record = train(fitnet(networks(), gamma=0.0), networks(), Fixed(1), max_epochs=10)
    losses = [float(batch["loss"]) for batch in record.batches]
    assert sum(losses[-6:]) < 0.5 * sum(losses[:6])


def test_a_resumed_run_is_the_undisturbed_one(tmp_path: Path) -> None:
    resumed, whole = resumed_and_whole(fitnet, tmp_path)
    assert "heads.1.weight" in whole
    for name, value in whole.items():
        assert torch.equal(resumed[name], value), name
