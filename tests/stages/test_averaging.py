"""Averages of networks that are put to use."""

import pytest
import tiny
import torch
from torch import nn

from ktlight.stages.averaging import statistics_layers, take_statistics


@pytest.fixture
def classifier() -> tiny.Classifier:
    return tiny.classifier(0, nn.BatchNorm1d(48), nn.Dropout(0.5), nn.BatchNorm1d(48))


def test_statistics_are_those_of_the_images(classifier: tiny.Classifier) -> None:
    batches = [tiny.batch(12, seed)["image"] for seed in range(3)]
    layers = statistics_layers(classifier)
    take_statistics(classifier.eval(), layers, iter(batches))
    means = torch.stack([(batch.flatten(1).float() / 128 - 1).mean(0) for batch in batches])
    torch.testing.assert_close(classifier.network[1].running_mean, means.mean(0))
    assert len(layers) == 2 and layers[0].momentum == 0.1
    assert not any(part.training for part in classifier.modules())


def test_layers_that_do_not_learn_keep_theirs(classifier: tiny.Classifier) -> None:
    classifier.network[1].requires_grad_(False)
    assert statistics_layers(classifier) == [classifier.network[3]]
