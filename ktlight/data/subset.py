"""Reproducible stratified subsets of a split, as in the paper.

The paper transfers on a stratified 10% of ImageNet's training images, 128,117 of 1,281,167, drawn by scikit-learn's
``StratifiedShuffleSplit`` with ``random_state=1234``. That count is a tenth rounded *up*, so the subset is the *test*
side of that split (its train side rounds down), and so it is here. ``data.fraction=0.1`` is this, and nothing else::

    from sklearn.model_selection import StratifiedShuffleSplit
    split = StratifiedShuffleSplit(n_splits=1, test_size=0.1, random_state=1234)
    _, subset = next(split.split(labels, labels))
    rows = sorted(subset)

``labels`` are the integer labels in the order of the split's rows: a parquet file's own order (files that fit one
pattern by sorted name), the Hub's order, or for class folders sorted folders and within them sorted files, the order of
``torchvision.datasets.ImageFolder``. The ``index`` of every batch is that row number, whatever the fraction. A held-out
share (``data.holdout``) is drawn the same way from the rows that the fraction selected.
"""

import numpy as np

from ktlight.errors import UserError
from ktlight.functional.randomness import IntArray

PAPER_RANDOM_STATE = 1234


def stratified_subset(labels: IntArray, fraction: float) -> IntArray:
    """Return the sorted rows of a stratified subset; a pure function of its arguments.

    Args:
        labels: The label of every row, ``[n]``.
        fraction: Share of the rows, above 0 and at most 1; ``ceil(fraction * n)`` rows are returned, all of them for 1.

    Raises:
        UserError: If some class would have no row on one side of the split.
    """
    if fraction == 1:
        return np.arange(len(labels))
    from sklearn.model_selection import StratifiedShuffleSplit  # a second to import

    split = StratifiedShuffleSplit(n_splits=1, test_size=fraction, random_state=PAPER_RANDOM_STATE)
    try:
        _, subset = next(split.split(labels, labels))
    except ValueError as error:
        raise UserError(
            f"Cannot draw a stratified fraction of {fraction} from {len(labels)} samples: {error} Choose another one."
        ) from error
    return np.sort(subset)


def divide(labels: IntArray, fraction: float, holdout: float) -> tuple[IntArray, IntArray]:
    """Return the rows to train on and the held-out rows, both sorted.

    Args:
        labels: The label of every row, ``[n]``; empty where there is no training split.
        fraction: Stratified share of the rows to use, above 0 and at most 1.
        holdout: Stratified share of those to hold out, below 1.

    Raises:
        UserError: If a share is out of range.
    """
    if not len(labels):
        return labels, labels
    rows = stratified_subset(labels, fraction)
    if holdout == 0:
        return rows, np.arange(0)
    apart = stratified_subset(labels[rows], holdout)
    return np.delete(rows, apart), rows[apart]
