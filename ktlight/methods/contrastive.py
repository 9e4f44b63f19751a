"""CRD: contrastive representation distillation (Tian, Krishnan and Isola, ICLR 2020, arXiv 1910.10699)."""

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from ktlight.errors import UserError
from ktlight.functional.contrastive import log_normalizer, noise_contrastive_per_sample
from ktlight.functional.routing import select_target
from ktlight.limits import Count, NotNegative, Positive, Share
from ktlight.methods.features import FeatureMethod
from ktlight.methods.memory import MemoryBanks
from ktlight.methods.optimization import Optimization
from ktlight.models.classifier import Classifier
from ktlight.types import RoutedBatch

logger = logging.getLogger(__name__)

STUDENT = 0  # index of the student among heads and banks; the candidate sources follow


class CRD(FeatureMethod):
    """Contrasts the student's embedding with the source's bank, and the source's with the student's.

    Linear heads, which are trained too but are not part of the student, project every network's features to
    low-dimensional unit vectors. The student's embedding of sample i is contrasted with the memory bank of the source
    that teaches it, and that source's embedding with the student's bank; both losses are added. Z of either direction
    is estimated on the first batch. Samples that the router left out have no loss, but their bank rows are updated.

    With several processes, each keeps all banks and makes the same updates.

    Args:
        networks: The student, then the teachers.
        optimization: Optimiser and learning rate, also of the heads.
        name: Name of the method in results.
        beta: Weight of the contrastive term.
        alpha: Weight of the KL divergence.
        gamma: Weight of the cross entropy with the labels.
        temperature: T of the KL divergence.
        double_softmax: Take the cross entropy of probabilities in place of logits, as the paper's public code does.
        dimensions: Of the embeddings.
        negatives: K, the number of samples of other classes to contrast with, capped at those available.
        contrast_temperature: Similarities are divided by it.
        momentum: Weight of the old vector when a bank row is updated.
        bank_gb: Device memory limit of all banks together, in GB.
        standardize_logits: Standardise the logits on both sides of the KL term.
    """

    log_normalizers_2: Tensor
    banks: MemoryBanks
    rows_BK: Tensor

    def __init__(
        self,
        networks: Sequence[Classifier],
        optimization: Optimization,
        *,
        name: str,
        beta: NotNegative,
        alpha: NotNegative,
        gamma: NotNegative,
        temperature: Positive,
        double_softmax: bool,
        dimensions: Count,
        negatives: Count,
        contrast_temperature: Positive,
        momentum: Share,
        bank_gb: Positive,
        standardize_logits: bool = False,
    ) -> None:
        super().__init__(
            networks, optimization, name=name, beta=beta, alpha=alpha, gamma=gamma, temperature=temperature,
            double_softmax=double_softmax, standardize_logits=standardize_logits,
        )  # fmt: skip
        self.dimensions = dimensions
        self.negatives = negatives
        self.contrast_temperature = contrast_temperature
        self.momentum = momentum
        self.bank_gb = bank_gb
        self.register_buffer("log_normalizers_2", torch.full((2,), torch.nan))
        self.normalized = False
        self.pending: tuple[Tensor, Tensor] | None = None

    def setup(self, stage: str) -> None:
        """Create heads and banks, now that the sources and the training samples are known.

        Raises:
            UserError: If the banks do not fit in memory.
        """
        told = self.context
        widths = [self.student_width, *told.source_widths]
        device = self.trainer.strategy.root_device
        check_room(len(widths), len(told.rows), self.dimensions, told.batch_size, self.bank_gb, device)
        self.make_heads(partial(nn.Linear, out_features=self.dimensions), widths)
        self.banks = MemoryBanks(len(widths), self.dimensions, told.rows, told.labels, self.negatives, told.seed)
        # every process makes the same updates: DistributedDataParallel need not broadcast the banks at each step
        self._ddp_params_and_buffers_to_ignore = [f"banks.{name}" for name, _ in self.banks.named_buffers()]

    def on_fit_start(self) -> None:
        """Check whether the normalisers were restored from a checkpoint."""
        self.normalized = bool(self.log_normalizers_2.isfinite().all())

    def on_train_batch_start(self, batch: RoutedBatch, batch_idx: int) -> None:
        """Draw the negatives here rather than in the losses, which may be compiled."""
        self.rows_BK = self.banks.candidates(batch["index"], batch["label"], self.current_epoch)

    def feature_losses(self, features_BD: Tensor, batch: RoutedBatch) -> Tensor:
        """Return the two contrastive losses of each sample, added, ``[B]``."""
        embeddings_MBE = torch.stack(
            [
                normalize(head(features).float(), dim=1)
                for head, features in zip(self.heads, [features_BD, *batch["features"]], strict=True)
            ]
        )
        self.pending = self.rows_BK[:, 0], embeddings_MBE.detach()
        scores_2BK = self.scores(embeddings_MBE, self.rows_BK, batch["source"])
        bank_rows = self.banks.memory_MNE.shape[1]
        if not self.normalized:
            self.estimate_normalizers(scores_2BK.detach(), bank_rows)
        losses_2B = [
            noise_contrastive_per_sample(scores_BK, normalizer, bank_rows)
            for scores_BK, normalizer in zip(scores_2BK, self.log_normalizers_2, strict=True)
        ]
        return losses_2B[0] + losses_2B[1]

    def scores(self, embeddings_MBE: Tensor, rows_BK: Tensor, source_B: Tensor) -> Tensor:
        """Return similarities over the temperature ``[2, B, 1 + K]``: student to source's bank, source to student's.

        The whole bank is scored before columns are selected: B x n numbers, instead of B x K rows of the bank.
        """
        memory_MNE = self.banks.memory_MNE
        with torch.autocast(memory_MNE.device.type, enabled=False):
            teacher_BE = select_target(embeddings_MBE[1:], source_B)
            student_scores_BN = select_target(embeddings_MBE[STUDENT] @ memory_MNE[1:].mT, source_B)
            teacher_scores_BN = teacher_BE @ memory_MNE[STUDENT].T
        scores_2BN = torch.stack([student_scores_BN, teacher_scores_BN])
        return scores_2BN.gather(2, rows_BK.expand(2, -1, -1)) / self.contrast_temperature

    def estimate_normalizers(self, scores_2BK: Tensor, bank_rows: int) -> None:
        """Set Z of both directions from the first batch over all processes."""
        own_2 = torch.stack([log_normalizer(scores_BK, bank_rows) for scores_BK in scores_2BK])
        all_W2: Any = self.all_gather(own_2)
        self.log_normalizers_2 = all_W2.view(-1, 2).exp().mean(0).log()
        self.normalized = True

    def on_after_backward(self) -> None:
        """Update the banks: only now, since the backward pass needs their old rows."""
        assert self.pending is not None
        rows_B, embeddings_MBE = self.pending
        gathered: Any = self.all_gather((rows_B, embeddings_MBE.transpose(0, 1).contiguous()))
        rows, embeddings = gathered
        self.banks.update(rows.flatten(), embeddings.view(-1, *embeddings.shape[-2:]), self.momentum)
        self.pending = None


def check_room(banks: int, rows: int, dimensions: int, batch: int, bank_gb: float, device: torch.device) -> None:
    """Log the memory of the banks and of a batch's scores against all their rows, with gradients.

    Raises:
        UserError: If it exceeds ``bank_gb`` or the GPU's free memory.
    """
    needed = rows * (banks * dimensions + (banks + 2) * batch) * torch.float32.itemsize / 1e9
    takes = f"{banks} memory banks of {rows} x {dimensions} numbers and the scores of {batch} samples, {needed:.3g} GB"
    mend = "lower method.dimensions, or learn from fewer images (data.fraction)"
    if needed > bank_gb:
        raise UserError(
            f"method=crd keeps {takes}, {needed - bank_gb:.3g} GB more than method.bank_gb={bank_gb:g}: "
            f"raise it, {mend}"
        )
    if device.type == "cuda" and (free := torch.cuda.mem_get_info(device)[0] / 1e9) < needed:
        raise UserError(f"method=crd keeps {takes}, {needed - free:.3g} GB more than {device} has left: {mend}")
    logger.info("method=crd keeps %s", takes)
