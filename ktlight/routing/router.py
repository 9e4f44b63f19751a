"""The sample router: a Lightning callback that writes each sample's source and target into the batch."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from torch.nn.functional import one_hot

from ktlight.errors import UserError
from ktlight.functional.flips import prediction_flips
from ktlight.functional.label_spaces import complete_with
from ktlight.functional.routing import INITIAL_STUDENT
from ktlight.models.modes import evaluating
from ktlight.routing.rules import RoutingRule
from ktlight.types import Batch, FeatureSource, LogitSource, RoutedBatch

KINDS = ("", "/positive_flips", "/negative_flips", "/neutral")


class SampleRouter(Callback):
    """Data partitioning: queries the sources before each training step and writes ``source`` and ``target``.

    Logs, per epoch, the share of samples that each source taught (``share/<source>``). If both the initial student and
    a teacher are candidates, also logs the shares among samples that only a teacher got right
    (``share/<source>/positive_flips``), that only the initial student got right (``.../negative_flips``: no teacher is
    right) and the rest (``.../neutral``). Sources that no sample could have come from are not logged.

    Args:
        sources: The candidates of the rule: the initial student's frozen copy first, then the teachers.
        rule: Chooses among them.
        features: Whether to write the candidates' ``features`` too; every source must then be a `FeatureSource`.
        initial: The initial student, which speaks for the classes that a candidate has none for; needed only if there
            are such candidates. It may be one of the sources.

    Raises:
        UserError: If features are requested from a rule that teaches with the mean of several models.
    """

    def __init__(
        self,
        sources: Sequence[LogitSource],
        rule: RoutingRule,
        features: bool = False,
        initial: LogitSource | None = None,
    ) -> None:
        if features and not rule.has_features:
            raise UserError(
                "this router teaches with the mean of several models, which has no features: use another one, such as "
                "router=most_confident or flip_st, with methods that learn from features"
            )
        self.rule = rule
        self.features = features
        self.sources = list(sources)
        self.initial = initial
        self.counts = torch.zeros(0)

    @property
    def widths(self) -> tuple[int, ...]:
        """Number of features of each candidate; empty if features are not used."""
        sources = cast(list[FeatureSource], self.sources) if self.features else []
        return tuple(source.num_features for source in sources)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Move the sources to the device of the module."""
        self.move(pl_module.device)

    def move(self, device: torch.device) -> None:
        """Move all models that it asks to a device."""
        for source in [*self.sources, *([self.initial] if self.initial else [])]:
            source.to(device)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Reset the counts: one row per source, one for the average of flip_avg, one for samples left out."""
        self.counts = torch.zeros(len(self.sources) + 2, len(KINDS), device=pl_module.device)

    @torch.no_grad()
    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: RoutedBatch, batch_idx: int
    ) -> None:
        """Route the batch, adding ``source`` and ``target`` to it."""
        # This hook runs outside the trainer's precision context; without it the sources would run in float32.
        with trainer.precision_plugin.forward_context():
            logits_MBC = self.ask(batch).float()
            student_BC = current_logits(pl_module, batch).float() if self.rule.needs_student else None
        counts = self.write(batch, logits_MBC, student_BC)
        self.counts[:, : counts.shape[1]] += counts

    def ask(self, batch: RoutedBatch) -> Tensor:
        """Return the logits ``[M, B, C]`` of the sources in the data's classes.

        Writes their features into the batch if these are used, and their mapped mass if one has classes of its own.
        """
        if self.features:
            answers = [source.logits_and_features(batch) for source in cast(list[FeatureSource], self.sources)]
            batch["features"] = [features_BD.float() for _, features_BD in answers]
            own = [logits for logits, _ in answers]
        else:
            own = [source.logits(batch) for source in self.sources]
        if all(source.label_map is None for source in self.sources):
            return torch.stack(own)
        mapped = [
            self.in_data_classes(source, logits.float(), batch)
            for source, logits in zip(self.sources, own, strict=True)
        ]
        batch["mapped_mass"] = torch.stack([mass_B for _, mass_B in mapped])
        return torch.stack([logits_BC for logits_BC, _ in mapped])

    def in_data_classes(self, source: LogitSource, own_logits_BZ: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return a source's logits in the data's classes ``[B, C]``, and its mapped mass ``[B]``.

        For classes that it has none for, the initial student speaks, by the mass that is not mapped.
        """
        if source.label_map is None:
            return own_logits_BZ, torch.ones_like(own_logits_BZ[:, 0])
        logits_BC, mass_B = source.label_map(own_logits_BZ)
        if source.label_map.missing:
            assert self.initial is not None
            logits_BC = complete_with(logits_BC, mass_B, self.initial.logits(batch))
        return logits_BC, mass_B

    def write(self, batch: RoutedBatch, logits_MBC: Tensor, student_BC: Tensor | None) -> Tensor:
        """Write each sample's source and target, and its weight where not all have 1; return the batch's counts."""
        batch["source"], batch["target"], counts = self.route(logits_MBC, batch, student_BC)
        if self.rule.retain_weight != 1:
            batch["weight"] = torch.where(batch["source"] == INITIAL_STUDENT, self.rule.retain_weight, 1.0)
        return counts

    def route(self, logits_MBC: Tensor, batch: Batch, student_BC: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return the source and target of each sample, and the batch's counts."""
        source_B, target_BC = self.rule(logits_MBC, batch, student_BC)
        return source_B, target_BC, self.count(logits_MBC, batch["label"], source_B)

    def count(self, logits_MBC: Tensor, labels_B: Tensor, source_B: Tensor) -> Tensor:
        """Return the number of samples each source taught, by kind if the initial student and a teacher are queried."""
        kinds = [torch.ones_like(labels_B, dtype=torch.bool)]
        if len(self.sources) > 1 and not self.rule.teachers_only:
            prediction_MB = logits_MBC.argmax(2)
            # Several teachers count as right if any of them is.
            right_MB = prediction_MB[1:] == labels_B
            teacher_B = torch.where(right_MB.any(0), labels_B, prediction_MB[1])
            kinds += prediction_flips(prediction_MB[0], teacher_B, labels_B)
        rows = len(self.sources) + 2
        taken_BR = one_hot(source_B % rows, rows).float()  # -1 becomes the last row
        return taken_BR.T @ torch.stack(kinds, 1).float()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the shares of the epoch, in percent, over all processes."""
        counts = trainer.strategy.reduce(self.counts, reduce_op="sum")
        names = [*(source.name for source in self.sources), "average", "left_out"]
        totals = counts.sum(0)
        shares = {
            f"share/{name}{kind}": 100 * counts[row, column] / totals[column]
            for column, kind in enumerate(KINDS)
            for row, name in enumerate(names)
            if totals[column] > 0 and (row < len(self.sources) or counts[row, 0] > 0)
        }
        pl_module.log_dict(shares, on_epoch=True)


@torch.no_grad()
def current_logits(module: LightningModule, batch: Batch) -> Tensor:
    """Return the current student's logits ``[B, C]`` in evaluation mode, then restore its mode."""
    student: Any = module.networks[0]  # type: ignore[index]
    with evaluating(student):
        logits: Tensor = student(batch["image"])
    return logits
