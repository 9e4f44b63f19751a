"""Memory banks: each network's embedding of every training sample when it was last seen."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from ktlight.errors import UserError
from ktlight.functional.contrastive import other_class_rows, random_numbers, update_memory_
from ktlight.functional.randomness import NEGATIVE_STREAM, IntArray, random_bits


class MemoryBanks(nn.Module):
    """One bank of unit vectors per network, one row per training sample, initialised at random.

    Args:
        banks: Number of banks, M.
        dimensions: Of the vectors, E.
        rows: Index of each training sample within its split, ``int64 [N]``.
        labels: Its class, ``int64 [N]``.
        negatives: Number of negatives per sample, K, capped at the number of rows outside the largest class.
        seed: Of the initial vectors and of the negatives.

    Raises:
        UserError: If all samples belong to one class.
    """

    memory_MNE: Tensor
    rows_by_class_N: Tensor
    counts_C: Tensor

    def __init__(
        self, banks: int, dimensions: int, rows: IntArray, labels: IntArray, negatives: int, seed: int
    ) -> None:
        super().__init__()
        labels_N = torch.from_numpy(labels)
        counts_C = labels_N.bincount()
        self.negatives = min(negatives, len(rows) - int(counts_C.max()))
        if self.negatives == 0:
            raise UserError("method=crd contrasts samples of different classes, but all training samples belong to one")
        self.seed = seed
        self.places = torch.full((int(rows.max()) + 1,), -1)
        self.places[rows] = torch.arange(len(rows))
        generator = torch.Generator().manual_seed(seed)
        memory_MNE = normalize(torch.randn(banks, len(rows), dimensions, generator=generator), dim=2)
        self.register_buffer("memory_MNE", memory_MNE)
        self.register_buffer("rows_by_class_N", labels_N.argsort(stable=True), persistent=False)
        self.register_buffer("counts_C", counts_C, persistent=False)

    def locate(self, index_B: Tensor) -> Tensor:
        """Return the bank row of each sample, on the banks' device, from its index on the CPU."""
        return self.places[index_B].to(self.memory_MNE.device, non_blocking=True)

    def candidates(self, index_B: Tensor, labels_B: Tensor, epoch: int) -> Tensor:
        """Return the rows to contrast each sample with, its own first, ``int64 [B, 1 + K]``.

        Negatives are drawn uniformly from the other classes, with replacement. They are a function of seed, epoch and
        sample: a resumed run draws the same ones, and so does a run with another number of processes.
        """
        bits_B = random_bits(NEGATIVE_STREAM, self.seed, epoch, index_B.numpy())
        seeds_B = torch.from_numpy(bits_B.view(np.int64)).to(labels_B.device, non_blocking=True)
        numbers_BK = random_numbers(seeds_B, self.negatives)
        negatives_BK = other_class_rows(numbers_BK, labels_B, self.rows_by_class_N, self.counts_C)
        return torch.cat([self.locate(index_B)[:, None], negatives_BK], 1)

    def update(self, rows_B: Tensor, embeddings_BME: Tensor, momentum: float) -> None:
        """Move the rows of a batch towards its embeddings; see `update_memory_`."""
        update_memory_(self.memory_MNE, rows_B, embeddings_BME, momentum)
