"""How similar classes are to the models that are compared, averaged over them."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ktlight.errors import UserError
from ktlight.functional.relatedness import confusion_similarity, cosine_similarity
from ktlight.models.classifier import Classifier
from ktlight.models.features import classifier_layers

MOST_CLASSES = 4096
"""Number of classes beyond which similarities of all pairs of classes would take too much memory."""
WEIGHTS, CONFUSIONS = "classifier weights", "confusions"


class Similarities:
    """Sums of the models' similarities, ``[C, C]`` whatever the number of models.

    Args:
        num_classes: C.
        labelled: Whether predictions can be sorted by the true class.
    """

    def __init__(self, num_classes: int, labelled: bool) -> None:
        self.num_classes = num_classes
        self.wanted = labelled and num_classes <= MOST_CLASSES
        self._sums: dict[str, Tensor] = {}
        self._models: dict[str, int] = {}

    def add(self, classifier: Classifier, mean_CC: Tensor | None) -> None:
        """Add a model.

        Args:
            classifier: The model.
            mean_CC: Mean of its probabilities over the samples of each class; None if that was not measured.
        """
        if not self.wanted:
            return
        if (rows_CD := classifier_rows(classifier)) is not None:
            self._add(WEIGHTS, cosine_similarity(rows_CD))
        if mean_CC is not None:
            self._add(CONFUSIONS, confusion_similarity(mean_CC))

    def mean(self) -> dict[str, Tensor]:
        """Return the mean similarities by name, those that are always there first."""
        return {name: self._sums[name] / self._models[name] for name in (WEIGHTS, CONFUSIONS) if name in self._sums}

    def _add(self, name: str, similarity_CC: Tensor) -> None:
        self._sums[name] = self._sums[name] + similarity_CC if name in self._sums else similarity_CC
        self._models[name] = self._models.get(name, 0) + 1


def classifier_rows(classifier: Classifier) -> Tensor | None:
    """Return the weights of a model's linear classifier, ``[C, D]``; None if it has none, or several."""
    layers = classifier_layers(classifier.network)
    if len(layers) != 1 or not isinstance(layers[0], nn.Linear | nn.Conv2d):
        return None
    rows_CD = layers[0].weight.detach().flatten(1).float().cpu()
    return rows_CD if len(rows_CD) == classifier.num_classes else None


class Confusions:
    """The sums of a model's probabilities over the samples of each class."""

    def __init__(self, num_classes: int) -> None:
        self.sum_CC = torch.zeros(num_classes, num_classes)
        self.count_C = torch.zeros(num_classes)

    def add(self, probability_BC: Tensor, labels_B: Tensor) -> None:
        """Add a batch."""
        self.sum_CC.index_add_(0, labels_B, probability_BC)
        self.count_C.index_add_(0, labels_B, torch.ones(len(labels_B)))

    def mean(self) -> Tensor:
        """Return the means, one row per class; NaN for a class without samples."""
        return self.sum_CC / self.count_C[:, None]


def read_similarity(file: Path, num_classes: int) -> Tensor:
    """Return the similarities of classes in a user's file, ``float32 [C, C]``.

    Args:
        file: ``.npy`` or ``.csv`` (numbers only) with similarities ``[C, C]``, or embeddings ``[C, D]`` of which the
            cosine is taken, such as those of the class names by a text encoder.
        num_classes: C.

    Raises:
        UserError: If it cannot be read, or is not about these classes.
    """
    try:
        numbers = (
            np.load(file, allow_pickle=False) if file.suffix == ".npy" else np.loadtxt(file, delimiter=",", ndmin=2)
        )
        table = torch.from_numpy(np.asarray(numbers, np.float32))
    except (OSError, ValueError, TypeError) as error:
        raise UserError(
            f"discovery.similarity={file} cannot be read ({error}): give a .npy or .csv file of numbers"
        ) from error
    if table.ndim != 2 or len(table) != num_classes or not table.isfinite().all():
        raise UserError(
            f"discovery.similarity={file} must hold finite numbers with one row for each of the {num_classes} classes, "
            f"but its shape is {tuple(table.shape)}"
        )
    if table.shape[1] != num_classes:
        return cosine_similarity(table, centred=False)
    if not torch.allclose(table, table.T, atol=1e-4):
        raise UserError(f"discovery.similarity={file} must be symmetric: row i, column j and row j, column i differ")
    return table
