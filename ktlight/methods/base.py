"""Base class of all transfer methods: networks that learn, a training step that sums the terms, and accuracy."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, cast

import torch
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchmetrics.classification import MulticlassAccuracy

from ktlight.errors import NotFinite, UserError
from ktlight.functional.geometry import Framing
from ktlight.functional.losses import masked_mean
from ktlight.functional.standardization import standardize_logits
from ktlight.methods.context import TrainingContext
from ktlight.methods.optimization import Optimization, configure
from ktlight.models.classifier import Classifier
from ktlight.models.sharding import shard, share_buffers, whole
from ktlight.types import AnyBatch, Batch, RoutedBatch

CHECK_EVERY = 50  # steps between checks of the loss, each of which synchronises with the device


class TransferMethod(LightningModule, ABC, Generic[AnyBatch]):
    """A training scheme: network 0 is the student, followed by peers that learn with it.

    A method defines the loss terms of a batch in `terms`. It never sees the frozen sources: the sample router has
    already written sources and targets into the batch.

    Args:
        networks: The student, then its peers if the method has any.
        optimization: Optimiser and learning rate of the student, and of the peers.

    Attributes:
        learners: Number of networks that learn, counted from the student.
        heads: Modules that train with the networks and are discarded afterwards, such as feature projections.
        wholes: Under ``trainer=fsdp`` the networks that learn, while their divided copies are trained.
        context: The training that the method is used in; set before Lightning sets up the method.
    """

    context: TrainingContext
    first_bad_step: Tensor
    needs_holdout: bool = False
    """Whether the method needs held-out training images."""
    routed: bool = False
    """Whether the method learns from the targets that a sample router writes."""
    needs_features: bool = False
    """Whether the method needs the sources' features, written by the sample router."""
    has_peers: bool = False
    """Whether the teachers are networks of the method, which run with the student."""
    top_classes: int | None = None
    """Number of the target's largest classes that the loss covers; None for all."""
    needs_full_logits: bool = False
    """Whether the loss depends on more of the target than the label's logit and the largest ones."""
    least_batch: int = 1
    """Number of samples, over all processes, that a batch needs for the loss to be defined."""
    own_views: bool = False
    """Whether each network that learns sees an augmented view of its own."""
    standardize_logits: bool = False
    """Whether the soft loss compares standardised logits; see `compared`."""

    def __init__(self, networks: Sequence[Classifier], optimization: Optimization) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.learners = len(networks)
        self.optimization = optimization
        self.heads = nn.ModuleList()
        self.wholes: list[Classifier] = []
        classes = networks[0].num_classes
        self.accuracies = nn.ModuleList([MulticlassAccuracy(classes, average="micro") for _ in networks])
        self.register_buffer("first_bad_step", torch.tensor(-1), persistent=False)

    @property
    def framings(self) -> list[Framing | None]:
        """How each network wants plain images; see :attr:`Classifier.framing`."""
        return [cast(Classifier, network).framing for network in self.networks]

    @property
    def views_at_once(self) -> int:
        """How many views of each image a training batch is to carry."""
        return self.learners if self.own_views else 1

    @abstractmethod
    def terms(self, logits_NBC: Sequence[Tensor], batch: AnyBatch) -> dict[str, Tensor]:
        """Return the named loss terms of one batch; their sum is minimised.

        Args:
            logits_NBC: Logits ``[B, C]`` of each network.
            batch: The batch, for routed methods a `RoutedBatch`.
        """

    def losses(self, batch: AnyBatch) -> dict[str, Tensor]:
        """Return the loss terms of one batch, including the networks' forward passes."""
        plain: Batch = batch
        images = [batch["image"], *(plain.get("peer_images") or [batch["image"]] * (len(self.networks) - 1))]
        return self.terms([network(image) for network, image in zip(self.networks, images, strict=True)], batch)

    def compared(self, student_BC: Tensor, target_BC: Tensor) -> tuple[Tensor, Tensor]:
        """Return both sides' logits as a soft loss is to see them: standardised if the method says so.

        Routers and target rules see them as they are.
        """
        if not self.standardize_logits:
            return student_BC, target_BC
        return standardize_logits(student_BC), standardize_logits(target_BC)

    def whole_batch(self, values: Tensor) -> Tensor:
        """Return a process's part ``[B, ...]`` of a batch with those of all processes, through which gradients flow."""
        if self._trainer is None or self.trainer.world_size == 1:  # a probe has no trainer
            return values
        gathered: Tensor = self.all_gather(values, sync_grads=values.requires_grad)  # type: ignore[assignment]
        return gathered.flatten(0, 1)

    def configure_model(self) -> None:
        """Under ``trainer=fsdp``, train copies of the networks, each process with its part of them."""
        if self.device_mesh is None or self.wholes:
            return
        self.wholes = [cast(Classifier, network).cpu() for network in self.networks[: self.learners]]
        self._replace(copy.deepcopy(self.wholes))
        for module in (*self.networks[: self.learners], *self.heads):
            shard(module, self.device_mesh["data_parallel"])

    def on_fit_end(self) -> None:
        """Gather what the divided copies learned into the networks, in every process."""
        for network, divided in zip(self.wholes, self.networks, strict=False):
            share_buffers(divided)
            network.load_state_dict({name: whole(value).cpu() for name, value in divided.state_dict().items()})
        if self.wholes:
            self._replace(self.wholes)

    def on_validation_start(self) -> None:
        """Validate with the first process's statistics of BatchNorm, as the other strategies do."""
        if self.wholes:
            share_buffers(self.networks)

    def _replace(self, learners: Sequence[Classifier]) -> None:
        self.networks = nn.ModuleList([*learners, *self.networks[self.learners :]])

    def on_train_start(self) -> None:
        """Put the networks in training mode; parts with nothing to learn keep their BatchNorm statistics.

        What was measured to decide whether others keep theirs may differ between processes: the first one's counts.
        """
        if self._trainer is not None and self.trainer.world_size > 1:
            for network in self.networks:
                network.keeps_statistics = self.trainer.strategy.broadcast(network.keeps_statistics)
        self.train()
        for module in self.networks.modules():
            parameters = list(module.parameters())
            if parameters and not any(parameter.requires_grad for parameter in parameters):
                module.eval()

    def training_step(self, batch: AnyBatch, batch_idx: int) -> Tensor:
        """Return the summed loss of one batch and log its terms."""
        terms = self.losses(batch)
        loss = torch.stack(list(terms.values())).sum()
        # Kept on the device: reading the value at every step would stall it.
        self.first_bad_step = torch.where(
            (self.first_bad_step < 0) & ~torch.isfinite(loss.detach()), self.global_step, self.first_bad_step
        )
        logged = {f"train/{name}": term.detach() for name, term in terms.items()} | {"train/loss": loss.detach()}
        self.log_dict(logged, on_step=False, on_epoch=True, batch_size=len(batch["label"]), sync_dist=True)
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Check every `CHECK_EVERY` steps that the loss is finite."""
        if (batch_idx + 1) % CHECK_EVERY == 0:
            self.check_finite()

    def on_train_epoch_end(self) -> None:
        """Check before the epoch's checkpoint is written, so that the last checkpoint is always good."""
        self.check_finite()
        for name, parameter in self.named_parameters():
            if not torch.isfinite(whole(parameter)).all():
                raise NotFinite(_diverged(f"the weights {name} are not finite after step {self.global_step}"))

    def check_finite(self) -> None:
        """Raise `NotFinite` if the loss of any step so far was NaN or infinite."""
        if (step := int(self.first_bad_step)) >= 0:
            raise NotFinite(_diverged(f"the loss is not finite at optimiser step {step}"))

    def validation_step(self, batches: list[Batch], batch_idx: int) -> None:
        """Count the correct predictions of every network, each on images in its own framing."""
        for network, batch, accuracy in zip(self.networks, batches, self._metrics(), strict=True):
            accuracy.update(network(batch["image"]), batch["label"])

    def on_validation_epoch_end(self) -> None:
        """Log the accuracies in percent: ``val/acc`` of the student, ``val/acc_peer<i>`` of its peers."""
        for number, accuracy in enumerate(self._metrics()):
            self.log(f"val/acc{f'_peer{number}' if number else ''}", 100 * accuracy.compute(), prog_bar=number == 0)
            accuracy.reset()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return the optimiser over everything that learns, and its schedule."""
        parameters = [list(network.parameters()) for network in self.networks[: self.learners]]
        parameters[0] += self.heads.parameters()
        learners = [(self.optimization.of_network(number), given) for number, given in enumerate(parameters)]
        return configure(learners, self.trainer, self.context.effective_batch)

    def _metrics(self) -> list[MulticlassAccuracy]:
        return cast(list[MulticlassAccuracy], list(self.accuracies))


def taught_mean(values_B: Tensor, batch: RoutedBatch) -> Tensor:
    """Return the mean of a loss ``[B]`` over a routed batch: samples left out count 0, the others by their weight."""
    return masked_mean(values_B, batch["source"], batch.get("weight"))


def label_losses(logits_BC: Tensor, labels_B: Tensor, double_softmax: bool = False) -> Tensor:
    """Return the cross entropy of each sample with its label, ``[B]``, in float32.

    Args:
        logits_BC: Logits of the network that learns.
        labels_B: True classes.
        double_softmax: Compute it from probabilities in place of logits, as the public code of arXiv 2310.17653 does.
    """
    scores_BC = logits_BC.float().softmax(1) if double_softmax else logits_BC.float()
    return cross_entropy(scores_BC, labels_B, reduction="none")


def check_peers(name: str, networks: Sequence[Classifier]) -> None:
    """Raise `UserError` unless there are networks to learn from each other."""
    if len(networks) < 2:
        raise UserError(f"method={name} needs at least two networks: give a teacher as well as the student")


def _diverged(what: str) -> str:
    return (
        f"training diverged: {what}. Earlier checkpoints are kept. "
        "Lower optim.lr, set trainer.gradient_clip_val=1.0 or use trainer.precision=32-true."
    )
