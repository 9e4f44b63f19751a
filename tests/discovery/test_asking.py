"""What is wrong with one of many models stays with it; what is wrong with the data does not."""

from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from torch import Tensor, nn

from ktlight.answers.stored import OutputStore
from ktlight.discovery import asking
from ktlight.discovery.asking import Asked, Candidate, ask_models
from ktlight.discovery.compare import mean_ensemble, side_by_side
from ktlight.errors import UserError
from ktlight.models.classifier import Classifier
from tests.answers.test_stored import config


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KTLIGHT_CACHE", str(tmp_path))


def candidate(seed: int, *middle: nn.Module) -> Candidate:
    return Candidate(f"tiny{seed}", lambda: tiny.classifier(seed, *middle))


def asked(*candidates: Candidate, labelled: bool = True) -> Asked:
    return ask_models(candidates, tiny.data_module(), OutputStore(config()), labelled)


def test_answers_are_those_of_the_network() -> None:
    found = asked(candidate(0), candidate(1))
    images = tiny.dataset().val.images
    for seed, said in enumerate(found.models):
        logits = tiny.classifier(seed)(images).detach()
        assert torch.equal(said.prediction, logits.argmax(1).int())
        probability = logits.softmax(1)
        assert said.probability is not None
        torch.testing.assert_close(said.probability, probability)
        torch.testing.assert_close(said.confidence.sigmoid(), probability.amax(1))
    means = [model.probability for model in found.models if model.probability is not None]
    labels = torch.from_numpy(tiny.dataset().val.labels)
    expected = 100 * (((means[0] + means[1]) / 2).argmax(1) == labels).double().mean()
    assert mean_ensemble(found, side_by_side(found, tiny.CLASSES, True))[0, 1] == expected


def test_confusions_are_the_mean_probabilities_of_each_class() -> None:
    found = asked(candidate(0), candidate(1))
    labels = torch.from_numpy(tiny.dataset().val.labels)
    expected: Any = 0
    for said in found.models:
        assert said.probability is not None
        mean = torch.stack([said.probability[labels == c].mean(0) for c in range(tiny.CLASSES)])
        expected += (mean[:, None] * mean).sqrt().sum(2) / 2
    torch.testing.assert_close(found.similarities["confusions"], expected)
    assert "classifier weights" not in found.similarities  # these networks do not say which layer is their classifier


def test_beyond_the_budget_no_probabilities_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "PROBABILITY_BUDGET", 2 * 20 * tiny.CLASSES * 4 - 1)
    found = asked(candidate(0), candidate(1))
    assert all(said.probability is None for said in found.models)
    assert mean_ensemble(found, side_by_side(found, tiny.CLASSES, True)).isnan().all()


class Infinite(nn.Module):
    def forward(self, pixels: Tensor) -> Tensor:
        return pixels / 0


def test_a_model_that_gives_no_numbers_or_cannot_be_loaded_is_left_out() -> None:
    def missing() -> Classifier:
        raise UserError("no weights")

    found = asked(candidate(0), candidate(1, Infinite()), Candidate("lost", missing), candidate(2), candidate(0))
    assert found.names == ["tiny0", "tiny2"]
    reasons = {each["model"]: each["reason"] for each in found.failed}
    assert "not finite" in reasons["tiny1"] and reasons["lost"] == "no weights"
    assert reasons["tiny0"] == "it has the weights and the preprocessing of tiny0"


def test_too_few_are_an_error_with_all_reasons() -> None:
    with pytest.raises(UserError, match=r"only 1 of 2 models.*\n  tiny1: its logits are not finite"):
        asked(candidate(0), candidate(1, Infinite()))


def test_an_image_that_cannot_be_read_is_no_models_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    data = tiny.data_module()

    def unreadable(row: int) -> Tensor:
        raise UserError("image 3 cannot be read")

    monkeypatch.setattr(data.dataset.val, "image", unreadable)
    with pytest.raises(UserError, match="image 3 cannot be read"):
        ask_models([candidate(0), candidate(1)], data, OutputStore(config()), True)


def test_without_labels_no_similarity_needs_them() -> None:
    assert not asked(candidate(0), candidate(1), labelled=False).similarities
