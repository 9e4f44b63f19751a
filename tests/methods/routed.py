"""Routed batches of a few samples, and the loss of a method on them."""

from collections.abc import Sequence
from typing import Any

import tiny
import torch
from torch import Tensor

from ktlight.methods.base import TransferMethod

COUNT = 6


def routed_batch(left_out: Sequence[int] = ()) -> Any:
    """Return a batch whose target is random, and some samples of which the router left out."""
    batch = tiny.batch(COUNT)
    source_B = torch.ones(COUNT, dtype=torch.int64)
    source_B[list(left_out)] = -1
    target_BC = torch.randn(COUNT, tiny.CLASSES, generator=torch.Generator().manual_seed(1))
    return {**batch, "source": source_B, "target": target_BC}


def student_logits() -> Tensor:
    return 2 * torch.randn(COUNT, tiny.CLASSES, generator=torch.Generator().manual_seed(2))


def loss_of(method: TransferMethod[Any], batch: Any, logits_BC: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return the loss and its gradient for the logits."""
    logits_BC = (student_logits() if logits_BC is None else logits_BC).detach().requires_grad_()
    loss = torch.stack(list(method.terms([logits_BC], batch).values())).sum()
    return loss, torch.autograd.grad(loss, logits_BC)[0]


def label_loss(logits_BC: Tensor, labels_B: Tensor, taught: Sequence[int]) -> float:
    """Return the mean cross entropy of a loop over the samples that are taught, of the whole batch."""
    log_p = logits_BC.double().log_softmax(1)
    return -sum(float(log_p[row, labels_B[row]]) for row in taught) / len(labels_B)
