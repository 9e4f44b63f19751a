"""Thumbnails are small, in order, and within their budget."""

from io import BytesIO

import numpy as np
import torch
from PIL import Image

from ktlight.data.arrays import TensorTable
from ktlight.data.thumbnails import thumbnails


def test_thumbnails_keep_to_the_budget_and_say_what_is_missing() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (5, 3, 96, 128), dtype=torch.uint8, generator=generator)
    table = TensorTable(images, np.zeros(5, int))
    every, missing = thumbnails(table, [3, 0, 4])
    assert list(every) == [3, 0, 4] and missing == 0
    assert Image.open(BytesIO(every[3])).size == (64, 48)
    some, missing = thumbnails(table, [3, 0, 4], len(every[3]) + len(every[0]))
    assert list(some) == [3, 0] and missing == 1


def test_images_that_are_not_pixels_have_none() -> None:
    class Floats:
        def image(self, row: int) -> torch.Tensor:
            return torch.rand(3, 8, 8)

    assert thumbnails(Floats(), [0, 1]) == ({}, 2)  # type: ignore[arg-type]
