"""The forms in which logits are stored: all of them, or the label's and the largest plus the mass of the rest.

For a sample with label y, the second form keeps the logit of y, the k largest logits of other classes with their class
numbers, and the log-sum-exp of the remaining R = C - 1 - k. Restored logits are exact for the kept classes; the
remaining classes share their probability mass r equally. These quantities are therefore exact, up to rounding:

- every kept probability, including the label's and the largest, hence the predicted class and both confidences that
  data partitioning compares;
- the mass r of the rest.

Only the distribution of r changes. With p the full target, p' the restored one, q the student, and pi, u, s their
distributions within the rest (each summing to 1; u is uniform), the chain rule of the divergence gives

    KL(p || q) - KL(p' || q) = r (KL(pi || s) - KL(u || s)),    so
    |KL(p || q) - KL(p' || q)| <= r (log R + D),

where D is the largest difference between two of the student's logits within the rest. The gradient in the student's
logits, q - p, moves by p' - p, at most 2r in the L1 norm. This holds for temperature 1. At a higher temperature T the
rest is given more mass than it has, r'_T >= r_T, and the gradient of each sample moves by at most 2 T r'_T.
"""

from dataclasses import dataclass
from math import log
from typing import Protocol

import torch
from torch import Tensor


class Form(Protocol):
    """Converts the logits of a batch to their stored form and back."""

    @property
    def name(self) -> str:
        """Stands for the form in keys."""

    def pack(self, logits_BC: Tensor, labels_B: Tensor) -> Tensor:
        """Return what is stored, ``[B, columns]``."""

    def unpack(self, stored: Tensor, labels_B: Tensor) -> Tensor:
        """Return the logits ``[B, C]``."""


class Full:
    """All logits, unchanged."""

    name = "full"

    def pack(self, logits_BC: Tensor, labels_B: Tensor) -> Tensor:
        """Return the logits."""
        return logits_BC

    def unpack(self, stored: Tensor, labels_B: Tensor) -> Tensor:
        """Return the logits."""
        return stored


class Features(Full):
    """The features that the logits are computed from, unchanged."""

    name = "features"


@dataclass(frozen=True)
class TopK:
    """The label's logit, the ``kept`` largest others with their classes, and one logit shared by all the rest.

    Everything is stored as float32: class numbers are exact up to 2^24.

    Attributes:
        kept: Number of logits besides the label's, from 1 to C - 2.
        classes: Number of classes, C.
    """

    kept: int
    classes: int

    @property
    def name(self) -> str:
        """Stands for the form in keys."""
        return f"top {self.kept}"

    def pack(self, logits_BC: Tensor, labels_B: Tensor) -> Tensor:
        """Return ``[B, 2 + 2 kept]``: label, largest others, each of the rest (equal), classes of the others."""
        logits_BC = logits_BC.float()
        label_B1 = labels_B[:, None]
        # stable: of equal logits the lowest classes are kept, so ties keep the predicted class
        others_BC, classes_BC = logits_BC.scatter(1, label_B1, -torch.inf).sort(stable=True, dim=1, descending=True)
        kept_BK = others_BC[:, : self.kept]
        rest_B1 = others_BC[:, self.kept : -1].logsumexp(1, keepdim=True) - log(self.classes - 1 - self.kept)
        rest_B1 = rest_B1.minimum(kept_BK[:, -1:])  # which only rounding could exceed
        return torch.cat([logits_BC.gather(1, label_B1), kept_BK, rest_B1, classes_BC[:, : self.kept].float()], 1)

    def unpack(self, stored: Tensor, labels_B: Tensor) -> Tensor:
        """Return the logits ``[B, C]``: exact for the classes kept, equal for the rest."""
        kept_BK, rest_B1, classes_BK = torch.split(stored, [1 + self.kept, 1, self.kept], 1)
        columns_BK = torch.cat([labels_B[:, None], classes_BK.long()], 1)
        logits_BC: Tensor = rest_B1.repeat(1, self.classes).scatter(1, columns_BK, kept_BK)
        return logits_BC


def make_form(top_k: int | None, classes: int) -> Form:
    """Return the form that keeps ``top_k`` logits besides the label's; all of them if that takes no more space."""
    return Full() if top_k is None or 2 + 2 * top_k >= classes else TopK(top_k, classes)
