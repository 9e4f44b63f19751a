"""The forms in which logits are stored: all of them, or the largest and the label's with the mass of the rest.

The second form keeps, of a sample with label y, the logit of y, the k largest logits of the other classes with these
classes, and the log-sum-exp of the R = C - 1 - k that remain. Its logits are exact for the classes kept, and give each
remaining class an equal share of their mass r (as probability). So these stay exact, up to rounding:

- every kept probability, the label's and the largest among them, hence the class predicted and both confidences that
  data partitioning compares;
- the mass r of the rest.

What changes is how r is spread. With p the full target, p' the one given back, q the student, and pi, u, s what p, p'
and q say within the rest (each summing to 1; u is even), the chain rule of the divergence gives

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
    """How the logits of a batch become what is stored of them, and back."""

    @property
    def name(self) -> str:
        """Stands for the form in keys."""

    def pack(self, logits_BC: Tensor, labels_B: Tensor) -> Tensor:
        """Return what is stored, ``[B, columns]``."""

    def unpack(self, stored: Tensor, labels_B: Tensor) -> Tensor:
        """Return the logits ``[B, C]``."""


class Full:
    """All logits, as the model gives them."""

    name = "full"

    def pack(self, logits_BC: Tensor, labels_B: Tensor) -> Tensor:
        """Return the logits."""
        return logits_BC

    def unpack(self, stored: Tensor, labels_B: Tensor) -> Tensor:
        """Return the logits."""
        return stored


class Features(Full):
    """The features that the logits are computed from, as the model gives them: all is kept as of logits."""

    name = "features"


@dataclass(frozen=True)
class TopK:
    """The label's logit, the ``kept`` largest others with their classes, and one logit for each of the rest.

    Everything is a float32: a class number is exact up to 2^24.

    Attributes:
        kept: How many logits beside the label's, at least 1, at most C - 2.
        classes: Number of classes, C.
    """

    kept: int
    classes: int

    @property
    def name(self) -> str:
        """Stands for the form in keys."""
        return f"top {self.kept}"

    def pack(self, logits_BC: Tensor, labels_B: Tensor) -> Tensor:
        """Return ``[B, 2 + 2 kept]``: label's logit, largest others, even logit of the rest, classes of the others."""
        logits_BC = logits_BC.float()
        label_B1 = labels_B[:, None]
        # stable: among equal logits the lowest classes are kept, so the first of the largest stays the predicted class
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
    """Return the form that keeps ``top_k`` logits beside the label's; all of them where that takes no more room."""
    return Full() if top_k is None or 2 + 2 * top_k >= classes else TopK(top_k, classes)
