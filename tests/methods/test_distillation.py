from typing import Any

import pytest
import tiny
import torch
from torch import Tensor

from ktlight.methods.distillation import Distillation
from ktlight.types import Batch


def distillation(**options: Any) -> Distillation:
    defaults = {"name": "kl", "soft_loss": "kl", "mixing": 1.0, "temperature": 1.0}
    return Distillation([tiny.classifier()], tiny.optimization(), **{**defaults, **options})


def routed_batch(left_out: tuple[int, ...] = ()) -> Batch:
    batch = tiny.batch(6)
    source_B = torch.ones(6, dtype=torch.int64)
    source_B[list(left_out)] = -1
    target_BC = torch.randn(6, tiny.CLASSES, generator=torch.Generator().manual_seed(1))
    return {**batch, "source": source_B, "target": target_BC}


def loss_of(method: Distillation, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return the loss and its gradient for the logits."""
    logits_BC = method.networks[0](batch["image"]).detach().requires_grad_()
    loss = torch.stack(list(method.terms([logits_BC], batch).values())).sum()
    return loss, torch.autograd.grad(loss, logits_BC)[0]


@pytest.mark.parametrize("soft_loss", ["kl", "cross_entropy"])
@pytest.mark.parametrize("mixing", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("temperature", [1.0, 3.0])
@pytest.mark.parametrize("left_out", [(), (1, 4)])
def test_loss_equals_a_loop_over_samples(
    soft_loss: str, mixing: float, temperature: float, left_out: tuple[int, ...]
) -> None:
    method = distillation(soft_loss=soft_loss, mixing=mixing, temperature=temperature)
    batch = routed_batch(left_out)
    logits_BC = method.networks[0](batch["image"]).double()
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


def test_samples_left_out_have_no_gradient_and_the_others_the_same_as_ever() -> None:
    method = distillation(mixing=0.68)
    _, whole = loss_of(method, routed_batch())
    _, part = loss_of(method, routed_batch((0, 3)))
    assert (part[[0, 3]] == 0).all()
    torch.testing.assert_close(part[[1, 2, 4, 5]], whole[[1, 2, 4, 5]])


def test_a_batch_with_nobody_left_has_a_loss_of_zero() -> None:
    loss, gradient = loss_of(distillation(mixing=0.5), routed_batch(tuple(range(6))))
    assert float(loss) == 0 and (gradient == 0).all()


def test_hinton_and_kl_pull_alike() -> None:
    (kl, kl_gradient), (hinton, hinton_gradient) = (
        loss_of(distillation(soft_loss=soft_loss, temperature=2.0), routed_batch())
        for soft_loss in ("kl", "cross_entropy")
    )
    torch.testing.assert_close(kl_gradient, hinton_gradient)
    assert hinton > kl  # by the entropy of the target


def test_the_student_learns_alone() -> None:
    method = Distillation(
        [tiny.classifier(0), tiny.classifier(1)], tiny.optimization(), name="kl", soft_loss="kl", mixing=1.0,
        temperature=1.0,
    )  # fmt: skip
    assert len(method.networks) == method.learners == 1
