from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ktlight.models.build import new_classifier
from ktlight.models.classifier import Classifier
from ktlight.models.spec import ModelConfig
from ktlight.models.zoo import Zoo

SHARED = Path(__file__).parents[3] / "shared"


@pytest.fixture
def zoo(tmp_path: Path) -> Zoo:
    return Zoo(tmp_path / "zoo")


@pytest.fixture
def make() -> Callable[..., Classifier]:
    """Return a function that makes a small classifier with random weights, batch statistics included."""

    def make(architecture: str = "test_resnet", num_classes: int = 10, native_size: int = 32, **fields) -> Classifier:
        torch.manual_seed(0)
        config = ModelConfig(architecture, architecture, **fields)
        classifier = new_classifier(config, num_classes=num_classes, native_size=native_size)
        classifier.train()(images(8, native_size))
        return classifier.eval()

    return make


def images(count: int = 4, size: int = 32) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
