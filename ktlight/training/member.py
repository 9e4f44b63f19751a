"""One training of a pack: what Lightning's trainer would do for it, a batch at a time.

The order of all calls is Lightning's, as far as our methods and callbacks use them, so the numbers are those of a
training alone, bit for bit on a CPU; a test holds the two together. Its checkpoints are Lightning's too: a run that was
begun in a pack goes on alone, and the other way round.
"""

import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import lightning
import torch
from lightning import Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers.logger import Logger
from omegaconf import DictConfig
from torch import Tensor

from ktlight.data.datamodule import ImageDataModule
from ktlight.methods.base import TransferMethod
from ktlight.models.modes import evaluating
from ktlight.report.curves import Curves
from ktlight.report.folder import RunFolder
from ktlight.training.checkpoints import EpochCheckpoint, WholeCheckpoints
from ktlight.training.loop import Loop, Means, Randomness, loop_after
from ktlight.training.trainer import EpochSeed, lay_out, say_resumed, training_context, validated_every
from ktlight.types import Batch


class Member:
    """A training among several; see the module.

    Args:
        trainer: Where and how the pack computes.
        method: What is trained.
        data: As the method sees it.
        folder: Of curves and checkpoint.
        config: The group ``trainer``.
        max_epochs: Number of epochs.
        resume: Whether to go on from the folder's checkpoint.
        callbacks: Sample router and restraint.
        loggers: Besides the curves.
        within: Surrounds all that is done for it.

    Attributes:
        failure: The error that has ended it.
        seconds: That went into it alone.
    """

    def __init__(
        self,
        trainer: Trainer,
        method: TransferMethod[Any],
        data: ImageDataModule,
        folder: RunFolder,
        config: DictConfig,
        *,
        max_epochs: int,
        resume: bool,
        callbacks: Sequence[Callback],
        loggers: Sequence[Logger],
        within: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.within = within
        self.failure: Exception | None = None
        self.seconds = 0.0
        self.method, self.data, self.folder, self.loggers = method, data, folder, loggers
        self.resumed = resume and folder.checkpoint.exists()
        self.curves = Curves(folder.path / "curves.csv", resume=self.resumed)
        self.keeper = EpochCheckpoint(folder.checkpoint, self.curves, config.checkpoint_every_seconds, keep_end=False)
        self.callbacks = [EpochSeed(), *callbacks]
        self.validate_every = validated_every(config, data, max_epochs)
        self.loop = Loop(trainer, max_epochs, data.steps_per_epoch(1), callbacks)
        self.loop.save_checkpoint = self.save  # type: ignore[attr-defined]
        self.loops = trainer.fit_loop.state_dict()
        self.means = Means()
        self.random = Randomness(trainer.strategy.root_device)
        lay_out(method, config)
        method.context = training_context(data, self.loop)  # type: ignore[arg-type]

    @property
    def device(self) -> torch.device:
        """Where it is trained."""
        return self.loop.strategy.root_device

    def attempt(self, act: Callable[[], None]) -> None:
        """Do something for this training, unless it has failed; an error ends it."""
        if self.failure is not None:
            return
        started = time.perf_counter()
        try:
            with self.within():
                act()
        except Exception as error:
            traceback.clear_frames(error.__traceback__)  # which hold a step's tensors
            self.failure = error
        self.seconds += time.perf_counter() - started

    def start(self) -> None:
        """Set up the method and its optimiser, from the checkpoint if there is one."""
        method: Any = self.method
        method.trainer, method.log, method.log_dict = self.loop, self.means.log, self.means.log_dict
        self.call("setup", "fit")
        kept = torch.load(self.folder.checkpoint, weights_only=True, map_location="cpu") if self.resumed else {}
        if kept:
            say_resumed(self.folder, self.loop.max_epochs)
            method.load_state_dict(kept["state_dict"])
            for callback in self.callbacks:
                if callback.state_key in kept["callbacks"]:
                    callback.load_state_dict(kept["callbacks"][callback.state_key])
        method.to(self.device)
        made = method.configure_optimizers()
        self.optimizer, self.scheduler = made["optimizer"], made["lr_scheduler"]["scheduler"]
        self.call("on_fit_start")
        if kept:
            self.optimizer.load_state_dict(kept["optimizer_states"][0])
            self.scheduler.load_state_dict(kept["lr_schedulers"][0])
            self.loop.current_epoch, self.loop.global_step = kept["epoch"] + 1, kept["global_step"]
        self.keeper.on_train_start(self.loop, method)  # type: ignore[arg-type]
        self.call("on_train_start")

    def begin_epoch(self) -> None:
        """Begin the next epoch."""
        with self.random.own():
            self.call("on_train_epoch_start")
        self.keeper.on_train_epoch_start(self.loop, self.method)  # type: ignore[arg-type]

    def step(self, batch: Batch, number: int) -> None:
        """Learn from a batch, which the router adds to."""
        with self.random.own():
            self.call("on_train_batch_start", batch, number)
            self.optimizer.step(partial(self._gradients, batch, number))
            self.loop.global_step += 1
            self.scheduler.step()
            self.call("on_train_batch_end", None, batch, number)

    def _gradients(self, batch: Batch, number: int) -> Tensor:
        with self.loop.precision_plugin.train_step_context():
            loss: Tensor = self.method.training_step(batch, number)
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        self.call("on_after_backward")
        if self.loop.gradient_clip_val is not None:
            parameters = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
            torch.nn.utils.clip_grad_norm_(parameters, self.loop.gradient_clip_val)
        return loss

    def end_epoch(self) -> None:
        """Evaluate the student if that is due, write the epoch's row, and a checkpoint if one is due."""
        if (self.loop.current_epoch + 1) % self.validate_every == 0:
            self.validate()
        self.call("on_train_epoch_end")
        self.loop.logged_metrics |= self.means.taken()
        self.keeper.on_train_epoch_end(self.loop, self.method)  # type: ignore[arg-type]
        for each in self.loggers:
            each.log_metrics({**self.loop.logged_metrics, "epoch": self.loop.current_epoch}, self.loop.global_step - 1)
        self.loop.current_epoch += 1

    @torch.no_grad()
    def validate(self) -> None:
        """Evaluate the networks on the test images."""
        with evaluating(self.method):
            self.call("on_validation_start")
            for batches, number, _ in self.data.val_dataloader():
                moved = self.data.transfer_batch_to_device(batches, self.device, 0)
                with self.loop.precision_plugin.val_step_context():
                    self.method.validation_step(moved, number)
            self.call("on_validation_epoch_end")
            self.call("on_validation_end")

    def end(self) -> None:
        """Leave the learned weights in the networks, on the CPU."""
        self.call("on_train_end")
        self.method.cpu()
        self.call("on_fit_end")
        self.call("teardown", "fit")

    def call(self, hook: str, *arguments: Any) -> None:
        """Call a hook of the callbacks, then the method's."""
        for callback in self.callbacks:
            getattr(callback, hook)(self.loop, self.method, *arguments)
        getattr(self.method, hook)(*arguments)

    def save(self, file: Any) -> None:
        """Write a checkpoint as Lightning does, so that the run can also be continued alone."""
        states = {callback.state_key: callback.state_dict() for callback in self.callbacks}
        checkpoint = {
            "epoch": self.loop.current_epoch,
            "global_step": self.loop.global_step,
            "pytorch-lightning_version": lightning.__version__,
            "state_dict": self.method.state_dict(),
            "loops": {"fit_loop": loop_after(self.loops, self.loop.current_epoch, self.loop.global_step)},
            "callbacks": {key: state for key, state in states.items() if state},
            "optimizer_states": [self.optimizer.state_dict()],
            "lr_schedulers": [self.scheduler.state_dict()],
        }
        WholeCheckpoints().save_checkpoint(checkpoint, file)
