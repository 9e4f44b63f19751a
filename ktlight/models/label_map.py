"""How a network's own classes answer in the data's: a map that is applied when its outputs are read."""

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ktlight.functional.label_spaces import NONE, UNSAID, columns_of, map_columns, map_weighted

LEARNED = "learned"


class Mapped(NamedTuple):
    """Answers in the data's classes.

    Attributes:
        logits_BC: Finite; for a class that no class of the network maps to, far below all others.
        mass_B: How much of the network's belief is about the data's classes at all, from 0 to 1.
    """

    logits_BC: Tensor
    mass_B: Tensor


class LabelMap(nn.Module):
    """Maps logits in a network's own Z classes to logits in the data's C classes; it has nothing to learn.

    The network's outputs stay as they are, in memory and in the store, so that they serve every label space. A
    temperature acts after the map.

    Args:
        classes_Z: The data's class of each of the network's, -1 for none.
        num_classes: C.
        how: How it was found: ``permuted``, ``synset``, ``names``, ``file``, ``learned``, or ``given``.
        weights_ZC: Where a class of the network may be part of several, how much of it is, ``[Z, C]``; else None.
        ambiguous: Names of the data's classes that could not be told to be one of the network's.
        taken_for: The ImageNet list that the network's nameless classes were taken for.

    Attributes:
        own_classes: Z.
        missing: The data's classes that none of the network's maps to.
    """

    columns_CK: Tensor
    weights_ZC: Tensor | None

    def __init__(
        self,
        classes_Z: Sequence[int],
        num_classes: int,
        how: str,
        weights_ZC: Tensor | None = None,
        ambiguous: Sequence[str] = (),
        taken_for: str | None = None,
    ) -> None:
        super().__init__()
        classes = torch.tensor(classes_Z, dtype=torch.int64)
        self.classes_Z = tuple(classes_Z)
        self.own_classes = len(classes_Z)
        self.num_classes = num_classes
        self.how = how
        self.ambiguous = tuple(ambiguous)
        self.taken_for = taken_for
        # Buffers follow the classifier to its device; they belong to no state dict.
        self.register_buffer("columns_CK", columns_of(classes, num_classes), persistent=False)
        weights_ZC = None if weights_ZC is None else weights_ZC.float()
        self.register_buffer("weights_ZC", weights_ZC, persistent=False)
        covered = weights_ZC.sum(0) > 0 if weights_ZC is not None else self.columns_CK[:, 0] < self.own_classes
        self.missing = tuple(torch.nonzero(~covered).flatten().tolist())

    @property
    def reorders(self) -> bool:
        """Whether each side's classes are the other's in another order."""
        alike = self.own_classes == self.num_classes and self.weights_ZC is None
        return alike and not self.missing and NONE not in self.classes_Z

    @property
    def covered(self) -> int:
        """Number of the data's classes that some class of the network maps to."""
        return self.num_classes - len(self.missing)

    @property
    def identity(self) -> str:
        """Hash of all that it does."""
        weights = b"" if self.weights_ZC is None else self.weights_ZC.cpu().numpy().tobytes()
        said = f"{self.own_classes} {self.num_classes} {self.classes_Z}".encode()
        return hashlib.sha256(said + weights).hexdigest()

    def forward(self, own_logits_BZ: Tensor) -> Mapped:
        """Return the answers in the data's classes."""
        columns_CK = self.columns_CK.to(own_logits_BZ.device, non_blocking=True)
        if self.reorders:  # as they are, to the last bit
            return Mapped(own_logits_BZ[:, columns_CK[:, 0]], torch.ones_like(own_logits_BZ[:, 0], dtype=torch.float32))
        if self.weights_ZC is None:
            log_q_BC, mass_B = map_columns(own_logits_BZ, columns_CK)
        else:
            weights_ZC = self.weights_ZC.to(own_logits_BZ.device, non_blocking=True)
            log_q_BC, mass_B = map_weighted(own_logits_BZ, weights_ZC)
        return Mapped(log_q_BC.clamp_min(UNSAID), mass_B)

    def facts(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Return what a run's results record of it.

        Args:
            class_names: Names of the data's classes.
        """
        return {
            "how": self.how,
            "own_classes": self.own_classes,
            "taken_for": self.taken_for,
            "classes": self.num_classes,
            "covered": self.covered,
            "missing": [class_names[number] for number in self.missing],
            "ambiguous": list(self.ambiguous),
            "identity": self.identity,
        }

    def extra_repr(self) -> str:
        """Return what is to be known of it."""
        return f"{self.own_classes} -> {self.num_classes} classes by {self.how}, {self.covered} covered"


def map_to_learn(own_classes: int, num_classes: int) -> LabelMap:
    """Return a map by which all classes say the same, until it is learned on training images."""
    return learned_map(torch.full((own_classes, num_classes), 1 / num_classes))


def learned_map(weights_ZC: Tensor) -> LabelMap:
    """Return the map of learned weights ``P(y | z)``, ``[Z, C]``."""
    own_classes, num_classes = weights_ZC.shape
    return LabelMap([NONE] * own_classes, num_classes, LEARNED, weights_ZC)
