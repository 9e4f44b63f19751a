"""The sample router with features: what it writes, and what it cannot give."""

from typing import Any

import pytest
import tiny
import torch

from ktlight.errors import UserError
from ktlight.methods.relational import CD
from ktlight.routing.confidence import MostConfident
from ktlight.routing.fixed import Fixed
from ktlight.routing.flips import Flip
from ktlight.routing.router import SampleRouter
from ktlight.routing.rules import RoutingRule
from ktlight.routing.teachers import CAMKD, Average, EntropyWeights
from tests.methods.features import networks, sources, train


def cd(models: Any) -> CD:
    return CD(
        models, tiny.optimization(), name="cd", beta=1.0, alpha=0.0, gamma=0.1, temperature=1.0, double_softmax=False
    )


@pytest.mark.parametrize(
    "rule", [MostConfident(True), Fixed(0), Fixed(1), Flip("teacher"), CAMKD(True), EntropyWeights()]
)
def test_features_of_every_candidate_are_written_beside_the_targets(rule: RoutingRule) -> None:
    models = networks()
    method = cd(networks())
    _, record = train(method, models, rule)
    asked = rule.candidates(sources(models))
    assert method.context.source_widths == tuple(source.num_features for source in asked)
    for batch in record.batches:
        assert len(batch["features"]) == len(asked)
        for source, features_BD in zip(asked, batch["features"], strict=True):
            logits_BC, expected_BD = source.classifier.logits_and_features(batch["image"])
            torch.testing.assert_close(features_BD, expected_BD)
            assert not features_BD.requires_grad
            from_source = batch["source"] == asked.index(source)
            target_BC = batch["target"][from_source]  # of teachers together log-probabilities
            torch.testing.assert_close(target_BC.log_softmax(1), logits_BC[from_source].log_softmax(1))


def test_one_pass_a_source() -> None:
    asked = sources(networks())
    passes = []
    for source in asked:
        source.classifier.network.register_forward_hook(lambda *_: passes.append(1))
    rule = Fixed(1)
    tiny.fit(cd(networks()), callbacks=[SampleRouter(rule.candidates(asked), rule, features=True)])
    assert len(passes) == 6  # one for each batch of the teacher, none of the student


def test_features_are_computed_in_the_precision_of_the_trainer_and_compared_in_float32() -> None:
    _, record = train(cd(networks()), networks(), precision="bf16-mixed")
    for features_BD in record.batches[0]["features"]:
        assert features_BD.dtype == torch.float32
        assert torch.equal(features_BD, features_BD.bfloat16().float())


@pytest.mark.parametrize("rule", [Flip("average"), Average()])
def test_the_average_of_several_models_has_no_features(rule: RoutingRule) -> None:
    with pytest.raises(UserError, match=r"mean of several models.* has no features: .* router=most_confident"):
        SampleRouter(sources(networks()), rule, features=True)
    SampleRouter(sources(networks()), rule)
