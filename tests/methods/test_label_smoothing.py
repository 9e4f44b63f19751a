"""label_smoothing: the student alone, on the labels; a run of it is in tests/tasks/test_transfer.py."""

import pytest
import tiny
import torch

from ktlight.methods.label_smoothing import LabelSmoothing


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_the_loss_equals_a_loop_over_samples(smoothing: float) -> None:
    networks = [tiny.classifier(0), tiny.classifier(1)]
    method = LabelSmoothing(networks, tiny.optimization(), name="label_smoothing", smoothing=smoothing)
    batch = tiny.batch(6)
    logits_BC = networks[0](batch["image"])
    log_p = logits_BC.double().log_softmax(1)
    expected = 0.0
    for row, label in enumerate(batch["label"].tolist()):
        for c in range(tiny.CLASSES):
            expected -= ((1 - smoothing) * (c == label) + smoothing / tiny.CLASSES) * float(log_p[row, c]) / 6
    assert float(method.terms([logits_BC], batch)["label"]) == pytest.approx(expected, rel=1e-5)


def test_the_teacher_is_no_part_of_it() -> None:
    networks = [tiny.classifier(0), tiny.classifier(1)]
    method = LabelSmoothing(networks, tiny.optimization(), name="label_smoothing", smoothing=0.1)
    assert len(method.networks) == method.learners == 1 and not method.routed and not method.has_peers
    before = networks[1].weights_hash()
    start = networks[0].weights_hash()
    tiny.fit(method)
    assert networks[1].weights_hash() == before and networks[0].weights_hash() != start
    assert torch.isfinite(torch.cat([each.flatten() for each in networks[0].parameters()])).all()
