"""The head probe: what a method does to the student's last layer alone, on stored features, in a second or two.

The parts are those of a head-only transfer: the method's loss terms, the routing rule, the restraint, the optimiser
with its schedule, and the data in the same order. Only Lightning's loop around them is left out, which takes longer
than the arithmetic (docs/recommendation.md); a test holds the two together.
"""

import copy
from dataclasses import dataclass
from typing import Any, cast

import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from ktlight.answers.ask import all_logits
from ktlight.data.samplers import TrainBatches
from ktlight.methods.base import TransferMethod
from ktlight.methods.optimization import configure
from ktlight.models.classifier import Classifier
from ktlight.models.head import Head
from ktlight.routing.router import SampleRouter
from ktlight.stages.setting import Setting
from ktlight.stages.sources import sample_router
from ktlight.stages.stage import build_method, restraint
from ktlight.training.length import samples_per_step


@dataclass
class Loop:
    """What optimiser and restraint ask of a trainer.

    Attributes:
        max_epochs: Number of epochs.
        estimated_stepping_batches: Number of steps in all.
        gradient_clip_val: Largest norm of a gradient; None: any.
        global_step: Steps so far.
    """

    max_epochs: int
    estimated_stepping_batches: int
    gradient_clip_val: float | None
    global_step: int = 0


def probe(setting: Setting, student: Classifier, teacher: Classifier) -> Tensor:
    """Return the logits ``[n, C]`` on the held-out training images after a copy of the student's head has learned.

    Args:
        setting: Of a method, with the features of the student in place of images; the test samples are not looked at.
        student: Frozen; it stays as it is.
        teacher: Frozen.
    """
    head = learning_head(student)
    train_head(setting, head, teacher)
    return all_logits(head, setting.data.holdout_images(head.framing), setting.outputs)


def learning_head(student: Classifier) -> Head:
    """Return a copy of a student's head that can learn, on the processor: its steps are too small for a GPU."""
    return copy.deepcopy(Head(student)).cpu().requires_grad_(True)


def train_head(setting: Setting, head: Head, teacher: Classifier) -> None:
    """Let a head learn, as `ktlight.stages.stage.learn` would."""
    config = setting.config
    method = build_method(config, [head, teacher])
    (router,) = sample_router(setting, {"student": head.frozen_copy(), "teacher": teacher}, setting.epochs)
    cast(SampleRouter, router).move(torch.device("cpu"))
    restraints = restraint(config)
    loader = setting.data.train_dataloader()
    loop = Loop(setting.epochs, setting.epochs * len(loader), config.trainer.gradient_clip_val)
    how = configure([(method.optimization, head.parameters())], cast(Any, loop), samples_per_step(config))
    optimizer, schedule = how["optimizer"], cast(dict[str, Any], how["lr_scheduler"])["scheduler"]
    call(restraints, "on_fit_start", loop, method)
    for epoch in range(setting.epochs):
        cast(TrainBatches, loader.sampler).set_epoch(epoch)
        for number, batch in enumerate(loader):
            optimizer.zero_grad()
            route(cast(SampleRouter, router), method, batch)
            torch.autograd.backward(torch.stack(list(method.losses(batch).values())).sum())
            if loop.gradient_clip_val is not None:
                torch.nn.utils.clip_grad_norm_(head.parameters(), loop.gradient_clip_val)
            optimizer.step()
            schedule.step()
            loop.global_step += 1
            call(restraints, "on_train_batch_end", loop, method, None, batch, number)
    call(restraints, "on_fit_end", loop, method)


@torch.no_grad()
def route(router: SampleRouter, method: TransferMethod[Any], batch: Any) -> None:
    """Write into the batch what the router's callback would."""
    logits_MBC = router.ask(batch).float()
    student_BC = method.networks[0](batch["image"]) if router.rule.needs_student else None
    router.write(batch, logits_MBC, student_BC)


def call(callbacks: list[Callback], hook: str, loop: Loop, method: TransferMethod[Any], *more: Any) -> None:
    """Call a hook of every callback."""
    for callback in callbacks:
        getattr(callback, hook)(loop, method, *more)
