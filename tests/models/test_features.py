"""Features are what the classifier layer is given, of the same pass as the logits, whatever the family."""

from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from ktlight.errors import UserError
from ktlight.models.classifier import Classifier
from ktlight.models.sources import LiveSource
from tests.models.conftest import images

SIZES = {
    "test_vit": 32,
    "test_vit2": 32,
    "test_convnext": 32,
    "test_efficientnet": 32,
    "test_byobnet": 32,
    "test_nfnet": 32,
    "test_mambaout": 32,
    "resnet18": 32,
    "mobilenetv3_small_100": 32,  # what follows the pooling belongs to the features
    "swin_tiny_patch4_window7_224": 32,
    "mixer_s32_224": 224,
    "resnetv2_50": 32,  # its classifier is a convolution
    "deit_tiny_distilled_patch16_224": 32,  # two tokens, two classifiers
    "sequencer2d_s": 32,  # answers with its whole head
}


def classifier(name: str) -> Classifier:
    torch.manual_seed(0)
    size = SIZES[name]
    sized = {"img_size": size} if timm.get_pretrained_cfg(name).fixed_input_size else {}
    network = timm.create_model(name, num_classes=7, **sized)
    return Classifier.from_network(network, name=name, img_size=size).eval()


def from_features(network: Any, features_BD: Tensor) -> Tensor:
    """Return the logits that timm's own classifier layers give to the features."""
    layers = network.get_classifier()
    if isinstance(layers, tuple):  # a distilled network gives the mean of both answers
        parts = features_BD.chunk(len(layers), 1)
        return sum(layer(part) for layer, part in zip(layers, parts, strict=True)) / len(layers)
    layer = getattr(layers, "fc", layers)
    if isinstance(layer, nn.Conv2d):
        features_BD = features_BD[:, :, None, None]
    return layer(features_BD).flatten(1)


@pytest.mark.parametrize("name", SIZES)
def test_the_classifier_layer_makes_the_logits_of_the_features(name: str) -> None:
    model = classifier(name)
    with torch.no_grad():
        logits_BC, features_BD = model.logits_and_features(images(3))
        assert torch.equal(logits_BC, model(images(3)))
        torch.testing.assert_close(from_features(model.network, features_BD), logits_BC, rtol=1e-4, atol=1e-5)
    assert features_BD.shape == (3, model.feature_tap.width)
    assert not torch.allclose(features_BD[0], features_BD[1])
    if "distilled" not in name:
        assert model.feature_tap.width == model.network.head_hidden_size  # timm's own record of it


class TwoBranches(nn.Module):
    """Classifiers of different widths, the logits their mean, as in a CrossViT."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.ModuleList([nn.Linear(5, 3), nn.Linear(7, 3)])

    def get_classifier(self) -> nn.Module:
        return self.head

    def forward(self, image: Tensor) -> Tensor:
        return (self.head[0](image[:, :5]) + self.head[1](image[:, 5:])) / 2


def own(network: nn.Module) -> Classifier:
    return Classifier(network, nn.Identity(), name="mine", architecture="own", num_classes=3)


def test_features_of_several_branches_are_side_by_side() -> None:
    image = torch.randn(4, 12)
    _, features_BD = own(TwoBranches()).logits_and_features(image)
    assert torch.equal(features_BD, image)


@pytest.mark.parametrize(
    "make",
    [
        lambda: own(nn.Sequential(nn.Flatten(), nn.Linear(12, 3))),
        lambda: own(timm.create_model("test_vit", num_classes=0)),
        lambda: own(timm.create_model("test_resnet", num_classes=0)),
    ],
)
def test_a_network_without_a_classifier_layer_is_refused(make: Callable[[], Classifier]) -> None:
    model = make()
    for ask in (
        lambda: model.feature_tap,
        lambda: model.logits_and_features(images()),
        lambda: LiveSource("teacher", model).num_features,
    ):
        with pytest.raises(UserError, match=r"mine \(\w+\) has no classifier layer.*such as method=cd learn from"):
            ask()


def test_gradients_flow_through_features_and_nothing_is_kept() -> None:
    model = classifier("test_vit").train()
    for _ in range(2):
        _, features_BD = model.logits_and_features(images())
        features_BD.sum().backward()
    assert all(p.grad is not None for name, p in model.network.named_parameters() if not name.startswith("head."))
    assert model.network.head.weight.grad is None
    model(images())
    assert not model.feature_tap.seen  # a pass that nobody asked the features of keeps none


def test_a_failed_pass_leaves_no_features_for_the_next() -> None:
    model = own(TwoBranches())
    with pytest.raises(RuntimeError):
        model.logits_and_features(torch.zeros(2, 11))  # the second branch fails when the first has been caught
    assert not model.feature_tap.listening
    assert model.logits_and_features(torch.zeros(4, 12))[1].shape == (4, 12)


def test_a_copy_has_features_of_its_own() -> None:
    model = classifier("test_convnext")
    model.logits_and_features(images())
    twin = model.frozen_copy()
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.mul_(2)
    (_, own_features), (_, twin_features) = (each.logits_and_features(images()) for each in (model, twin))
    assert not torch.equal(own_features, twin_features) and not twin_features.requires_grad
    assert not model.feature_tap.seen and not twin.feature_tap.seen


@pytest.mark.parametrize("compiled_before", [False, True])
def test_a_compiled_network_gives_features_after_passes_without(compiled_before: bool) -> None:
    model = own(TwoBranches())
    if compiled_before:
        model.network.compile(backend="aot_eager")
        model(torch.randn(4, 12))
    tap = model.feature_tap
    if not compiled_before:
        model.network.compile(backend="aot_eager")
    for _ in range(2):
        image = torch.randn(4, 12)
        model(image)
        assert not tap.seen
        _, features_BD = model.logits_and_features(image)
        assert torch.equal(features_BD, image)


@pytest.mark.parametrize("name", ["test_vit", "test_efficientnet"])
def test_a_samples_features_do_not_depend_on_its_batch(name: str) -> None:
    source = LiveSource("teacher", classifier(name).frozen_copy())
    whole = source.logits_and_features({"image": images(40)})
    for rows in (slice(3), slice(5, 38), slice(39, 40)):
        logits_BC, features_BD = source.logits_and_features({"image": images(40)[rows]})
        assert torch.equal(features_BD, whole[1][rows]) and torch.equal(logits_BC, whole[0][rows])
    assert torch.equal(whole[0], source.logits({"image": images(40)}))
    assert source.num_features == whole[1].shape[1]
