"""ofa: its loss from a loop over samples, and what it is with the exponent 1."""

from typing import Any

import pytest
import tiny
import torch

from ktlight.methods.distillation import Distillation
from ktlight.methods.enhanced import OFA
from tests.methods.routed import COUNT, label_loss, loss_of, routed_batch, student_logits


def ofa(**options: Any) -> OFA:
    defaults = {"exponent": 1.5, "weight": 1.0, "temperature": 1.0, "label_weight": 1.0}
    return OFA([tiny.classifier(0)], tiny.optimization(), name="ofa", **{**defaults, **options})


@pytest.mark.parametrize("left_out", [(), (1, 4)])
@pytest.mark.parametrize(("exponent", "temperature", "weight"), [(1.5, 1.0, 1.0), (1.2, 2.0, 0.4)])
def test_the_loss_equals_a_loop_over_samples(
    exponent: float, temperature: float, weight: float, left_out: tuple[int, ...]
) -> None:
    batch, logits_BC = routed_batch(left_out), student_logits()
    taught = [row for row in range(COUNT) if row not in left_out]
    expected = label_loss(logits_BC, batch["label"], taught)
    for row in taught:
        p = (batch["target"][row].double() / temperature).softmax(0).tolist()
        log_q = (logits_BC[row].double() / temperature).log_softmax(0).tolist()
        for c in range(tiny.CLASSES):
            label = float(c == batch["label"][row])
            expected -= weight * ((p[c] + label) ** exponent - label) * log_q[c] / COUNT
    loss, _ = loss_of(ofa(exponent=exponent, temperature=temperature, weight=weight), batch)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_with_the_exponent_1_it_is_soft_plus_hard_cross_entropy() -> None:
    hinton = Distillation(
        [tiny.classifier(0)], tiny.optimization(), name="hinton", soft_loss="cross_entropy", mixing=0.5, temperature=1.0
    )
    halves = loss_of(hinton, routed_batch())
    torch.testing.assert_close(loss_of(ofa(exponent=1.0), routed_batch()), tuple(2 * half for half in halves))
