"""Trainings of several students in one process, over the same batches: each image is read once for all of them."""

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

from tqdm.auto import tqdm

from ktlight.data.samplers import TrainBatches
from ktlight.preemption import leave_if_asked
from ktlight.training.member import Member


def train_together(members: Sequence[Member], next_batch: Callable[[], None], progress: bool = False) -> None:
    """Train the members in step, epoch by epoch; their data have the same batches.

    They may have different lengths, and may go on from different epochs. The error of one is kept in its ``failure``,
    and the others go on.

    Args:
        members: The trainings.
        next_batch: Called before each batch.
        progress: Whether to show a bar.

    Raises:
        Preempted: The process was asked to leave; the last whole epochs are kept.
    """
    for member in members:
        member.attempt(member.start)
    data, device = members[0].data, members[0].device
    loader = data.train_dataloader()
    first = min(member.loop.current_epoch for member in members)
    last = max(member.loop.max_epochs for member in members)
    with tqdm(total=(last - first) * len(loader), desc=f"{len(members)} students", disable=not progress) as bar:
        for epoch in range(first, last):
            leave_if_asked()
            learning = [each for each in members if each.loop.current_epoch == epoch < each.loop.max_epochs]
            for member in learning:
                member.attempt(member.begin_epoch)
            cast(TrainBatches, loader.sampler).set_epoch(epoch)
            for number, batch in enumerate(loader if any(each.failure is None for each in learning) else ()):
                if number:
                    leave_if_asked()
                moved = data.transfer_batch_to_device(batch, device, 0)
                next_batch()
                for member in learning:
                    member.attempt(partial(member.step, copy.copy(moved), number))
                bar.update()
            for member in learning:
                member.attempt(member.end_epoch)
    for member in members:
        member.attempt(member.end)
