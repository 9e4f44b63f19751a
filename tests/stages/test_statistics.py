"""BatchNorm statistics: those of images, and whether a network trains with its own."""

from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch
from torch import nn
from torch.nn.functional import batch_norm

from ktlight.answers.stored import OutputStore
from ktlight.stages.statistics import (
    settle_statistics,
    statistics_images,
    statistics_layers,
    take_statistics,
)


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


def test_kept_statistics_are_not_taken_anew(classifier: tiny.Classifier) -> None:
    classifier.keeps_statistics = True
    assert statistics_layers(classifier) == []


def test_images_that_lie_class_by_class_are_mixed() -> None:
    view = tiny.data_module(train=48).training_view(0)
    mixed = statistics_images(view, 0)
    assert sorted(mixed.rows) == list(range(48)) and (np.diff(mixed.rows) < 0).any()
    np.testing.assert_array_equal(statistics_images(view, 0).rows, mixed.rows)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 47])
@pytest.mark.parametrize("count", [2, 3, 4, 5, 7, 48])
def test_no_image_is_alone_in_its_batch(batch_size: int, count: int) -> None:
    view = tiny.data_module(train=48).training_view(0)
    images = statistics_images(replace(view, rows=view.rows[:count], batch_size=batch_size), 0)
    sizes = [len(batch["label"]) for batch in images.batches()]
    assert sum(sizes) == count and min(sizes) > 1


def by_brightness(mean: float) -> tiny.Classifier:
    """Return a network that knows the classes by their brightness, if normalised by a mean and a variance of 1."""
    network = tiny.classifier(0, nn.BatchNorm1d(48))
    pixels = torch.stack([image for image, _ in own_pixels(network)])
    labels = torch.tensor([label for _, label in own_pixels(network)])
    centres_C = torch.stack([pixels[labels == each].mean() for each in range(tiny.CLASSES)]) - mean
    norm, linear = network.network[1], network.network[2]
    norm.running_mean.fill_(mean)
    linear.weight.data = 2 * centres_C[:, None].expand(-1, 48) / 48  # the nearest centre has the largest 2 c x - c^2
    linear.bias.data = -centres_C.square()
    return network


def own_pixels(network: tiny.Classifier) -> list[tuple[torch.Tensor, int]]:
    data = tiny.data_module().training_images(network.framing)
    return [
        (network.preprocess(batch["image"][number : number + 1]).flatten(), int(batch["label"][number]))
        for batch in data.batches()
        for number in range(len(batch["label"]))
    ]


@pytest.mark.parametrize(("choice", "mean", "kept"), [
    ("auto", 0.0, True), ("auto", 5.0, False), ("batch", 0.0, False), ("own", 5.0, True)
])  # fmt: skip
def test_statistics_are_kept_if_others_cost_accuracy(choice: str, mean: float, kept: bool) -> None:
    network, vit = by_brightness(0.0), tiny.classifier(1)
    if mean:  # statistics of other images: those of these are better
        network.network[1].running_mean += mean
    before = network.weights_hash()
    config, data = tiny.config(f"transfer.batchnorm={choice}"), tiny.data_module()
    record = settle_statistics(config, {"student": network, "teacher": vit}, data, OutputStore(config, "off"))
    assert network.keeps_statistics == record["student"]["kept"] == kept
    assert record.keys() == {"student"} and network.weights_hash() == before
    if choice != "auto":
        assert record["student"] == {"kept": kept}
        return
    pixels_BN, labels = (
        torch.stack([image for image, _ in own_pixels(network)]),
        [label for _, label in own_pixels(network)],
    )
    linear = network.network[2]
    right = [
        int(network.network.eval()(row[None]).argmax()) == label for row, label in zip(pixels_BN, labels, strict=True)
    ]
    others = linear(batch_norm(pixels_BN, None, None, training=True)).argmax(1) == torch.tensor(labels)
    assert record["student"]["own"] == pytest.approx(100 * np.mean(right))
    assert record["student"]["images"] == pytest.approx(
        100 * float(others.float().mean()), abs=10
    )  # of several batches
    assert record["student"]["num_images"] == 48


def test_statistics_over_all_gpus_are_asked_for() -> None:
    network, outputs = by_brightness(0.0), OutputStore(tiny.config(), "off")
    config = tiny.config("trainer.sync_batchnorm=true")
    assert settle_statistics(config, {"student": network}, tiny.data_module(), outputs) == {"student": {"kept": False}}
