import numpy as np
import torch

from ktlight.metrics.predictions import Predictions
from ktlight.report.results import more_confident


def logits_of(models: int, samples: int, classes: int = 5) -> torch.Tensor:
    return torch.randn(models, samples, classes, generator=torch.Generator().manual_seed(0)) * 3


def test_predictions_come_in_the_order_of_the_indices() -> None:
    logits_KBC, labels = logits_of(2, 30), torch.arange(30) % 5
    order = torch.randperm(30, generator=torch.Generator().manual_seed(1))
    metric = Predictions()
    for rows in order.split(7):
        metric.update(logits_KBC[:, rows], labels[rows], rows)
    computed = metric.compute()
    assert computed["index"].tolist() == list(range(30))
    assert computed["label"].tolist() == labels.tolist()
    np.testing.assert_array_equal(computed["prediction"].numpy(), logits_KBC.numpy().argmax(2))
    top = np.sort(logits_KBC.double().softmax(2).numpy(), axis=2)[..., -1]
    mean = logits_KBC.double().softmax(2).numpy().mean(0)
    np.testing.assert_array_equal(computed["mean"].numpy(), mean.argmax(1))
    np.testing.assert_allclose(computed["confidence"].double().sigmoid().numpy(), top, rtol=1e-5)


def test_a_sample_seen_twice_counts_once() -> None:
    logits_KBC = logits_of(1, 6)
    metric = Predictions()
    for rows in (torch.tensor([3, 1, 5]), torch.tensor([1, 2, 5])):
        metric.update(logits_KBC[:, rows], rows % 5, rows)
    computed = metric.compute()
    assert computed["index"].tolist() == [1, 2, 3, 5]
    assert computed["prediction"][0].tolist() == logits_KBC[0, [1, 2, 3, 5]].argmax(1).tolist()


def test_confidences_near_one_do_not_tie() -> None:
    """In float32 both probabilities are 1; the second model is the more confident one all the same."""
    logits_KBC = torch.tensor([[[30.0, 0.0]], [[0.0, 40.0]]])
    assert (logits_KBC.softmax(2).amax(2) == 1).all()
    metric = Predictions()
    metric.update(logits_KBC, torch.tensor([1]), torch.tensor([0]))
    computed = metric.compute()
    assert more_confident(computed["prediction"], computed["confidence"]).tolist() == [1]


def test_equal_confidences_go_to_the_first_model() -> None:
    logits_KBC = torch.tensor([[[2.0, 0.0]], [[0.0, 2.0]]])
    metric = Predictions()
    metric.update(logits_KBC, torch.tensor([1]), torch.tensor([0]))
    computed = metric.compute()
    assert more_confident(computed["prediction"], computed["confidence"]).tolist() == [0]
