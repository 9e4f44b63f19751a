"""Example images of positive flips, and their thumbnails."""

from collections.abc import Iterator
from io import BytesIO

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ktlight.data.dataset import ImageTable
from ktlight.discovery.compare import Answers

PER_PAIR = 4
SIDE = 64
QUALITY = 80
BUDGET = 2**21
"""Bytes of all thumbnails together: they are part of a page that is to open at once."""


def clearest_flips(answers: Answers) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Yield, for each teacher, the positive flips over each student where the teacher is surest in comparison.

    Yields:
        The teacher, positions of samples ``[M, k]``, and which of them are positive flips.
    """
    right_MN, confidence_MN = answers.right, answers.confidence
    for teacher in range(len(right_MN)):
        known = right_MN[teacher].nonzero()[:, 0]
        surer_MK = (confidence_MN[teacher, known] - confidence_MN[:, known]).masked_fill_(
            right_MN[:, known], -torch.inf
        )
        best = surer_MK.topk(min(PER_PAIR, len(known)), dim=1)
        yield teacher, known[best.indices], best.values > -torch.inf


def thumbnails(table: ImageTable, rows: list[int], budget: int = BUDGET) -> tuple[dict[int, bytes], int]:
    """Return small JPEG images of rows, in their order, until the budget is spent, and how many are missing.

    Images that are not pixels, of a user's own transforms, have none.
    """
    found: dict[int, bytes] = {}
    spent = 0
    for row in rows:
        image = table.image(row)
        if image.is_floating_point():
            break
        encoded = thumbnail(image.permute(1, 2, 0).numpy())
        if spent + len(encoded) > budget:
            break
        found[row], spent = encoded, spent + len(encoded)
    return found, len(rows) - len(found)


def thumbnail(pixels: NDArray[np.uint8]) -> bytes:
    """Return an image ``[h, w, 3]`` of at most 64 pixels a side as JPEG."""
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.thumbnail((SIDE, SIDE))
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
