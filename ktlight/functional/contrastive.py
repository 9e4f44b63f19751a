"""Noise-contrastive estimation against a memory bank (Tian, Krishnan and Isola, ICLR 2020, arXiv 1910.10699)."""

from math import log

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from ktlight.functional.precision import full_precision


def noise_contrastive_per_sample(scores_BK: Tensor, log_normalizer: Tensor, bank_rows: int) -> Tensor:
    """Return the negative log-likelihood of distinguishing the positive from the negatives, per sample, in nats.

    With K negatives drawn uniformly from a bank of n rows, a candidate with score s is the positive with probability
    ``h = P / (P + K / n)``, ``P = exp(s) / Z`` (equation 19 of the paper, whose constant is estimated here). The loss
    is ``-log h(positive) - sum_k log(1 - h(negative_k))`` (equation 18).

    Args:
        scores_BK: Similarity of the sample to each candidate, divided by the temperature, ``[B, 1 + K]``: column 0 is
            the positive, the rest are negatives (at least one).
        log_normalizer: log Z; see `log_normalizer`.
        bank_rows: n.

    Returns:
        The losses ``[B]``, in float32 or wider.
    """
    negatives = scores_BK.shape[1] - 1
    log_odds_BK = full_precision(scores_BK) - log_normalizer - log(negatives / bank_rows)
    return -logsigmoid(log_odds_BK[:, 0]) - logsigmoid(-log_odds_BK[:, 1:]).sum(1)


def log_normalizer(scores_BK: Tensor, bank_rows: int) -> Tensor:
    """Return log Z estimated from a batch: Z is n times the mean of ``exp(score)``, so that P sums to 1 over a row.

    Args:
        scores_BK: As for `noise_contrastive_per_sample`.
        bank_rows: n.
    """
    return full_precision(scores_BK).logsumexp((0, 1)) - log(scores_BK.numel() / bank_rows)


def random_numbers(seeds_B: Tensor, count: int) -> Tensor:
    """Return ``count`` random integers below 2^63 from each seed, ``int64 [B, count]``, on the device of the seeds.

    Each row is a SplitMix64 stream (Steele, Lea, Flood, OOPSLA 2014), as in `ktlight.functional.randomness`: a sample
    draws the same numbers on any device, in any batch and in any process.
    """
    steps = torch.arange(1, count + 1, device=seeds_B.device)
    state_BK = seeds_B[:, None] + steps * _signed(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        state_BK = (state_BK ^ _shifted(state_BK, shift)) * _signed(factor)
    return _shifted(state_BK ^ _shifted(state_BK, 31), 1)


def other_class_rows(numbers_BK: Tensor, labels_B: Tensor, rows_by_class_N: Tensor, counts_C: Tensor) -> Tensor:
    """Return rows of classes other than each sample's own, drawn uniformly with replacement.

    Args:
        numbers_BK: Random integers from 0 to far above the number of rows, ``int64 [B, K]``.
        labels_B: Class of each sample, ``int64 [B]``; some row must belong to another class.
        rows_by_class_N: All rows, sorted by class, ``int64 [N]``.
        counts_C: Number of rows of each class, ``int64 [C]``.

    Returns:
        The rows, ``int64 [B, K]``.
    """
    own_B1 = counts_C[labels_B, None]
    start_B1 = counts_C.cumsum(0)[labels_B, None] - own_B1
    place_BK = numbers_BK % (len(rows_by_class_N) - own_B1)
    return rows_by_class_N[place_BK + own_B1 * (place_BK >= start_B1)]


@torch.no_grad()
def update_memory_(memory_MNE: Tensor, rows_B: Tensor, embeddings_BME: Tensor, momentum: float) -> None:
    """Move rows of memory banks towards new embeddings in place: ``normalise(m old + (1 - m) new)``.

    Args:
        memory_MNE: Banks of unit vectors, ``[M, N, E]``.
        rows_B: Rows to update, without duplicates, ``int64 [B]``.
        embeddings_BME: The new unit vectors, ``[B, M, E]``.
        momentum: m, from 0 (the new ones replace the old) to 1 (nothing changes).
    """
    moved_MBE = torch.lerp(embeddings_BME.transpose(0, 1).to(memory_MNE), memory_MNE[:, rows_B], momentum)
    memory_MNE[:, rows_B] = torch.nn.functional.normalize(moved_MBE, dim=2)


def _signed(bits: int) -> int:
    """Return the int64 with these 64 bits; its products wrap around like unsigned ones."""
    return bits - 2**64 if bits >= 2**63 else bits


def _shifted(values: Tensor, places: int) -> Tensor:
    """Shift 64 bits right, filling with zeros where int64 would repeat the sign."""
    shifted: Tensor = (values >> places) & (2 ** (64 - places) - 1)
    return shifted
