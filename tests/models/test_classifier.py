import copy

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ktlight.models import classifier as module
from ktlight.models.classifier import Classifier
from tests.models.conftest import images


def own(network: nn.Module) -> Classifier:
    return Classifier(network, nn.Identity(), name="own", architecture=type(network).__name__, num_classes=3)


def test_logits_are_those_of_the_preprocessed_images(make):
    classifier = make(num_classes=7)
    expected = classifier.network(classifier.preprocess(images()))
    torch.testing.assert_close(classifier(images()), expected)
    assert expected.shape == (4, classifier.num_classes)


def test_a_users_network_gets_the_images_as_they_are():
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    x = torch.rand(5, 3, 2, 2)
    torch.testing.assert_close(own(network)(x), network(x))


def test_a_frozen_copy_never_changes(make):
    classifier = make().train()
    frozen = classifier.frozen_copy()
    holder = nn.ModuleList([frozen]).train()
    expected, statistics = frozen(images()), copy.deepcopy(frozen.state_dict())
    assert not any(module.training for module in frozen.modules())
    assert not any(parameter.requires_grad for parameter in holder.parameters())
    torch.testing.assert_close(frozen(images()), expected, rtol=0, atol=0)
    torch.testing.assert_close(frozen.state_dict(), statistics, rtol=0, atol=0)
    assert classifier.training and classifier.network.training
    assert all(parameter.requires_grad for parameter in classifier.parameters())


def test_the_hash_is_of_the_weights_alone(make):
    classifier = make()
    assert classifier.weights_hash() == classifier.frozen_copy().weights_hash()
    assert classifier.weights_hash() == copy.deepcopy(classifier).to(memory_format=torch.channels_last).weights_hash()


def test_the_hash_of_a_frozen_classifier_is_computed_once(make, monkeypatch):
    computed = []
    monkeypatch.setattr(module, "_state_hash", lambda network: computed.append(network) or f"hash {len(computed)}")
    classifier = make()
    assert [classifier.weights_hash(), classifier.weights_hash()] == ["hash 1", "hash 2"]
    frozen = classifier.frozen_copy()
    assert frozen.weights_hash() == frozen.frozen_copy().weights_hash() == "hash 3"
    frozen.frozen = False
    assert [frozen.weights_hash(), frozen.freeze().weights_hash(), frozen.weights_hash()] == [
        "hash 4",
        "hash 5",
        "hash 5",
    ]


@settings(deadline=None, max_examples=20)
@given(row=st.integers(0, 2), column=st.integers(0, 3), dtype=st.sampled_from([torch.float32, torch.bfloat16]))
def test_the_hash_changes_with_any_weight(row, column, dtype):
    network = nn.Linear(4, 3).to(dtype)
    before = own(network).weights_hash()
    with torch.no_grad():
        network.weight[row, column] += 1
    assert own(network).weights_hash() != before


def test_the_hash_knows_names_shapes_and_types():
    zeros = [
        nn.Linear(4, 3),
        nn.Linear(3, 4),
        nn.Conv2d(4, 3, 1),
        nn.Linear(4, 3).double(),
        nn.Sequential(nn.Linear(4, 3)),
    ]
    for network in zeros:
        for parameter in network.parameters():
            nn.init.zeros_(parameter)
    assert len({own(network).weights_hash() for network in zeros}) == len(zeros)
