"""wttm: its loss from a loop over samples."""

from typing import Any

import pytest
import tiny
import torch

from ktlight.methods.distillation import Distillation
from ktlight.methods.transformed import WTTM
from tests.methods.routed import COUNT, label_loss, loss_of, routed_batch, student_logits


def wttm(**options: Any) -> WTTM:
    defaults = {"exponent": 0.8, "weight": 1.6, "label_weight": 1.0}
    return WTTM([tiny.classifier(0)], tiny.optimization(), name="wttm", **{**defaults, **options})


@pytest.mark.parametrize("left_out", [(), (1, 4)])
@pytest.mark.parametrize(("exponent", "weight"), [(0.8, 1.6), (0.1, 45.0)])
def test_the_loss_equals_a_loop_over_samples(exponent: float, weight: float, left_out: tuple[int, ...]) -> None:
    batch, logits_BC = routed_batch(left_out), student_logits()
    taught = [row for row in range(COUNT) if row not in left_out]
    expected = label_loss(logits_BC, batch["label"], taught)
    for row in taught:
        powers = batch["target"][row].double().softmax(0) ** exponent
        total, log_q = float(powers.sum()), logits_BC[row].double().log_softmax(0)
        expected += weight * total * float((powers / total * ((powers / total).log() - log_q)).sum()) / COUNT
    loss, _ = loss_of(wttm(exponent=exponent, weight=weight), batch)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_with_the_exponent_1_it_pulls_as_kl_and_cross_entropy() -> None:
    kl = Distillation([tiny.classifier(0)], tiny.optimization(), name="kl", soft_loss="kl", mixing=0.5, temperature=1.0)
    halves = loss_of(kl, routed_batch())
    whole = loss_of(wttm(exponent=1.0, weight=1.0), routed_batch())
    torch.testing.assert_close(whole, tuple(2 * half for half in halves))
