"""Label maps and sliced heads: a mapped teacher says what one with its head sliced by hand says."""

import copy

import pytest
import timm
import tiny
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from ktlight.errors import UserError
from ktlight.functional.label_spaces import UNSAID, map_logits
from ktlight.models.classifier import Classifier
from ktlight.models.label_map import LabelMap
from ktlight.models.slicing import slice_head

SUBSET = [2, -1, 0, -1, 1, -1]


def network(classes: int = 6, name: str = "test_resnet") -> Classifier:
    torch.manual_seed(0)
    return Classifier.from_network(timm.create_model(name, num_classes=classes), name="six", img_size=32)


def images() -> Tensor:
    return torch.randint(0, 256, (5, 3, 32, 32), generator=torch.manual_seed(1), dtype=torch.uint8)


def sliced_by_hand(classifier: Classifier) -> Classifier:
    sliced = copy.deepcopy(classifier)
    layer = sliced.network.get_classifier()
    rows = [SUBSET.index(y) for y in range(3)]
    layer.weight, layer.bias = nn.Parameter(layer.weight[rows]), nn.Parameter(layer.bias[rows])
    sliced.num_classes = 3
    return sliced.eval()


def test_a_classifier_answers_in_the_classes_of_its_map() -> None:
    classifier = network().eval()
    own = classifier(images())
    classifier.answer_in(LabelMap(SUBSET, 3, "names"))
    assert (classifier.num_classes, classifier.own_classes) == (3, 6)
    assert torch.equal(classifier.own_logits(images()), own)
    assert_close(classifier(images()), map_logits(own, torch.tensor(SUBSET), 3)[0])
    assert_close(classifier(images()).softmax(1), sliced_by_hand(network())(images()).softmax(1))
    assert not any("label_map" in key for key in classifier.state_dict())


def test_the_same_classes_in_another_order_are_equal_to_the_last_bit() -> None:
    label_map, own = LabelMap([2, 0, 3, 1], 4, "permuted"), torch.randn(9, 4)
    logits_BC, mass_B = label_map(own)
    assert label_map.reorders and torch.equal(mass_B, torch.ones(9))
    for z, y in enumerate([2, 0, 3, 1]):
        assert torch.equal(logits_BC[:, y], own[:, z])


def test_a_class_that_nothing_maps_to_is_far_below_and_named() -> None:
    label_map = LabelMap([0, 2, -1], 4, "names", ambiguous=["crane"])
    logits_BC, _ = label_map(torch.randn(2, 3))
    assert logits_BC[:, [1, 3]].eq(UNSAID).all() and logits_BC.isfinite().all()
    facts = label_map.facts(["cat", "dog", "owl", "crane"])
    assert (facts["covered"], facts["missing"], facts["ambiguous"]) == (2, ["dog", "crane"], ["crane"])
    assert not label_map.reorders


def test_identity_is_of_all_that_it_does() -> None:
    weights = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    maps = [
        LabelMap([0, 1], 2, "names"),
        LabelMap([1, 0], 2, "names"),
        LabelMap([0, 1], 3, "names"),
        LabelMap([0, 1], 2, "file", weights),
        LabelMap([0, 1], 2, "file", weights / 2),
    ]
    assert len({label_map.identity for label_map in maps}) == len(maps)
    assert LabelMap([0, 1], 2, "synset").identity == maps[0].identity


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_convnext", "test_efficientnet"])
def test_a_sliced_head_is_a_zero_shot_classifier(name: str) -> None:
    classifier, side = network(name=name), images()
    own = classifier.eval()(side)
    slice_head(classifier, LabelMap(SUBSET, 3, "synset"))
    assert (classifier.num_classes, classifier.own_classes, classifier.network.num_classes) == (3, 3, 3)
    assert_close(classifier(side), own[:, [SUBSET.index(y) for y in range(3)]], rtol=1e-4, atol=1e-5)


def test_rows_of_several_classes_and_of_none() -> None:
    classifier = network().eval()
    own = classifier(images())
    slice_head(classifier, LabelMap([0, 0, 1, -1, 0, -1], 3, "names"))
    said = classifier(images())
    assert_close(said[:, 0], own[:, [0, 1, 4]].mean(1) + torch.tensor(3.0).log(), rtol=1e-4, atol=1e-5)
    assert (said[:, 0] <= own[:, [0, 1, 4]].logsumexp(1) + 1e-5).all()
    assert_close(said[:, 2], own.mean(1), rtol=1e-4, atol=1e-5)


def test_a_head_in_another_order() -> None:
    classifier = network(4).eval()
    own = classifier(images())
    slice_head(classifier, LabelMap([2, 0, 3, 1], 4, "permuted"))
    assert classifier.label_map is None
    assert torch.equal(classifier(images())[:, [2, 0, 3, 1]], own)


def test_a_frozen_network_stays_frozen() -> None:
    classifier = network().frozen_copy()
    before = classifier.weights_hash()
    slice_head(classifier, LabelMap(SUBSET, 3, "names"))
    assert not any(parameter.requires_grad for parameter in classifier.parameters()) and not classifier.training
    assert classifier.weights_hash() != before


@pytest.mark.parametrize("order", [SUBSET, [2, 0, 3, 1, 5, 4]])
def test_all_that_has_rows_of_classes_is_sliced_and_all_else_stays(order: list[int]) -> None:
    """volo has an auxiliary head besides; efficientvit_m a normalisation that a new head brings along."""
    for name in ("volo_d1_224", "efficientvit_m0"):
        torch.manual_seed(0)
        whole = timm.create_model(name, num_classes=6)
        before = {
            key: tensor.normal_() if tensor.is_floating_point() else tensor
            for key, tensor in whole.state_dict().items()
        }
        whole.load_state_dict(before)
        before = {key: tensor.clone() for key, tensor in before.items()}
        classifier = Classifier(whole, nn.Identity(), name=name, architecture=name, num_classes=6)
        classes = max(order) + 1
        slice_head(classifier, LabelMap(order, classes, "names"))
        after = whole.state_dict()
        heads = {key for key in before if len(before[key].shape) and len(before[key]) == 6 and "head" in key}
        assert len(heads) == (4 if name.startswith("volo") else 2)
        for key, tensor in before.items():
            expected = tensor[[order.index(y) for y in range(classes)]] if key in heads else tensor
            assert torch.equal(after[key], expected), (name, key)


def test_what_a_classifier_layer_has_besides_its_rows_stays() -> None:
    network = timm.create_model("levit_128s", num_classes=6).eval()
    with torch.no_grad():
        for layer in network.get_classifier():
            layer.bn.running_mean.normal_()
            layer.bn.weight.uniform_()
    features = torch.randn(2, network.num_features)
    classifier = Classifier(network, nn.Identity(), name="levit", architecture="levit_128s", num_classes=6)
    own = network.forward_head(features[:, None].expand(-1, 16, -1))
    slice_head(classifier, LabelMap(SUBSET, 3, "names"))
    said = network.eval().forward_head(features[:, None].expand(-1, 16, -1))
    assert_close(said, own[:, [SUBSET.index(y) for y in range(3)]], rtol=1e-4, atol=1e-5)


def test_slicing_draws_no_random_numbers() -> None:
    classifier = network()
    before = torch.get_rng_state()
    slice_head(classifier, LabelMap(SUBSET, 3, "names"))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_head_without_rows_cannot_be_sliced() -> None:
    with pytest.raises(UserError, match="no layer with a row for each class"):
        slice_head(tiny.classifier(), LabelMap([0, 1, -1, -1], 2, "names"))


def test_a_map_that_shares_classes_has_no_rows() -> None:
    with pytest.raises(UserError, match="labels are learned"):
        slice_head(network(), LabelMap([-1] * 6, 3, "learned", torch.full((6, 3), 1 / 3)))
