"""Reads batches of stored features in place of pixels."""

import functools
from collections.abc import Callable

import numpy as np
from torch import Tensor, from_numpy
from torch.utils.data import Dataset

from ktlight.data.dataset import ImageTable
from ktlight.data.samplers import BatchRequest
from ktlight.functional.randomness import IntArray
from ktlight.types import Batch


class FeatureReader(Dataset[Batch]):
    """Reads batches whose ``image`` is the features ``float [B, D]`` of the images.

    Args:
        table: The split.
        rows: The rows that will be read, ascending.
        features: Returns the features ``[rows, D]`` of a view, by its number; called once for each.
    """

    def __init__(self, table: ImageTable, rows: IntArray, features: Callable[[int], Tensor]) -> None:
        self.table = table
        self.features = functools.cache(features)
        self.slots = np.full(len(table), len(rows), np.int64)
        self.slots[rows] = np.arange(len(rows))

    def __getitem__(self, request: BatchRequest) -> Batch:
        """Return the batch for ``(view, rows_B)``."""
        view, rows_B = request
        return {
            "image": self.features(view)[from_numpy(self.slots[rows_B])].float(),
            "label": from_numpy(self.table.labels[rows_B]),
            "index": from_numpy(rows_B),
            "view": view,
        }
