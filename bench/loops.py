"""Training steps to compare with: the per-sample loop of the paper's public code, and timm's logit distillation."""

from collections.abc import Callable

import torch
from timm.optim import create_optimizer_v2
from timm.task import LogitDistillationTask
from torch import Tensor, nn
from torch.nn.functional import kl_div

from ktlight.models.classifier import Classifier

Step = Callable[[Tensor, Tensor], None]
Context = Callable[[], object]


def per_sample_step(student: Classifier, initial: Classifier, teacher: Classifier, context: Context) -> Step:
    """Return a step of kl_dp in the form of the public code, from its description (paper's code, sec. 6 of our notes).

    Both frozen models run on every batch; a Python loop reads each sample's probabilities on the host and uses the
    target of the more confident model; the divergence runs over the target's classes in sorted order, renormalised;
    the loss is read back after every step.
    """
    optimizer = torch.optim.SGD(student.parameters(), lr=1e-4, momentum=0.9, weight_decay=1e-4)
    student.train()

    def step(images: Tensor, labels: Tensor) -> None:
        with context():
            with torch.no_grad():
                taught_BC, kept_BC = teacher(images).softmax(1), initial(images).softmax(1)
            student_BC = student(images).softmax(1)
        targets = []
        for sample in range(len(labels)):
            label = int(labels[sample])
            surer = float(taught_BC[sample, label]) > float(kept_BC[sample, label])
            targets.append(taught_BC[sample] if surer else kept_BC[sample])
        target_BC, order_BC = torch.stack(targets).float().sort(1, descending=True)
        sorted_BC = student_BC.float().gather(1, order_BC)
        target_BC = target_BC / target_BC.sum(1, keepdim=True)
        sorted_BC = sorted_BC / sorted_BC.sum(1, keepdim=True)
        loss = kl_div(sorted_BC.clamp_min(1e-12).log(), target_BC, reduction="batchmean")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()

    return step


def timm_task(student: nn.Module, teacher: nn.Module) -> tuple[LogitDistillationTask, torch.optim.Optimizer]:
    """Return timm's plain distillation task, ready to train, and timm's optimiser for it."""
    task = LogitDistillationTask(
        student, teacher, criterion=nn.CrossEntropyLoss(), distill_loss_weight=1.0, task_loss_weight=0.0,
        device=next(student.parameters()).device, verbose=False,
    )  # fmt: skip
    task.train()
    return task, create_optimizer_v2(student, opt="momentum", lr=1e-4, momentum=0.9, weight_decay=1e-4)


def timm_step(student: nn.Module, teacher: nn.Module, context: Context) -> Step:
    """Return a step of timm's training loop with its logit distillation task, on normalised images."""
    task, optimizer = timm_task(student, teacher)

    def step(images: Tensor, labels: Tensor) -> None:
        with context():
            loss = task(images, labels)["loss"]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step
