from typing import Any

import pytest
import tiny
import torch

from ktlight.methods.distillation import Distillation
from tests.methods.routed import loss_of, routed_batch, student_logits


def distillation(**options: Any) -> Distillation:
    defaults = {"name": "kl", "soft_loss": "kl", "mixing": 1.0, "temperature": 1.0}
    return Distillation([tiny.classifier()], tiny.optimization(), **{**defaults, **options})


@pytest.mark.parametrize("soft_loss", ["kl", "cross_entropy"])
@pytest.mark.parametrize("mixing", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("temperature", [1.0, 3.0])
@pytest.mark.parametrize("left_out", [(), (1, 4)])
def test_loss_equals_a_loop_over_samples(
    soft_loss: str, mixing: float, temperature: float, left_out: tuple[int, ...]
) -> None:
    method = distillation(soft_loss=soft_loss, mixing=mixing, temperature=temperature)
    batch = routed_batch(left_out)
    logits_BC = student_logits().double()
    expected = 0.0
    for row in range(6):
        if row in left_out:
            continue
        q = (batch["target"][row].double() / temperature).softmax(0)
        log_p = (logits_BC[row] / temperature).log_softmax(0)
        soft = float((q * (q.log() * (soft_loss == "kl") - log_p)).sum()) * temperature**2
        label = -float(logits_BC[row].log_softmax(0)[batch["label"][row]])
        expected += (mixing * soft + (1 - mixing) * label) / 6  # of the whole batch, whoever was left out
    loss, _ = loss_of(method, batch)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_hinton_and_kl_pull_alike() -> None:
    (kl, kl_gradient), (hinton, hinton_gradient) = (
        loss_of(distillation(soft_loss=soft_loss, temperature=2.0), routed_batch())
        for soft_loss in ("kl", "cross_entropy")
    )
    torch.testing.assert_close(kl_gradient, hinton_gradient)
    assert hinton > kl  # by the entropy of the target
