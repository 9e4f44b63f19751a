"""Small images for people to look at."""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ktlight.data.dataset import ImageTable

SIDE = 64
QUALITY = 80
BUDGET = 2**21
"""Bytes of all thumbnails together: they are part of a page that is to open at once."""


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
