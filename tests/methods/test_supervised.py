import pytest
import tiny
import torch

from ktlight.methods.supervised import Supervised


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_with_smoothed_labels(smoothing: float) -> None:
    method = Supervised([tiny.classifier()], tiny.optimization(), smoothing)
    batch = tiny.batch(6)
    logits_BC = method.networks[0](batch["image"])
    expected = 0.0
    for row, label in enumerate(batch["label"].tolist()):
        log_p = logits_BC[row].double().log_softmax(0)
        for number in range(tiny.CLASSES):
            expected -= float((smoothing / tiny.CLASSES + (1 - smoothing) * (number == label)) * log_p[number]) / 6
    assert float(method.terms([logits_BC], batch)["label"]) == pytest.approx(expected, rel=1e-5)
    assert method.terms([logits_BC.bfloat16()], batch)["label"].dtype == torch.float32
