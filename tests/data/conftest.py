"""Small data sets in every format that the package reads."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from ktlight.data.arrays import TensorTable

SHARED = Path(__file__).parents[3] / "shared" / "data"


def encode(pixels: np.ndarray, format: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format)
    return stream.getvalue()


def random_pixels(seed: int, height: int = 10, width: int = 12) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def random_table(count: int = 40, size: int = 12, classes: int = 4) -> TensorTable:
    images = torch.randint(
        0, 256, (count, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    return TensorTable(images, np.arange(count) % classes)


@pytest.fixture
def parquet_file(tmp_path: Path) -> Callable[..., str]:
    """Write images and labels as the Hub lays them out; ``extra`` columns are added as they are."""

    def write(
        name: str,
        labels: list[int | None],
        images: list[bytes] | None = None,
        image_key: str = "image",
        **extra: object,
    ) -> str:
        images = [encode(random_pixels(row)) for row in range(len(labels))] if images is None else images
        cells = pa.array(
            [{"bytes": image, "path": None} for image in images],
            pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
        )
        pq.write_table(pa.table({image_key: cells, "label": pa.array(labels, pa.int64()), **extra}), tmp_path / name)
        return str(tmp_path / name)

    return write


@pytest.fixture
def class_folders(tmp_path: Path) -> Callable[..., Path]:
    """Write ``<split>/<class>/<number>.png``."""

    def write(split: str, classes: list[str], images_per_class: int = 3) -> Path:
        for label, name in enumerate(classes):
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            for number in range(images_per_class):
                (folder / f"{number}.png").write_bytes(encode(random_pixels(10 * label + number)))
        return tmp_path / split

    return write


@pytest.fixture
def shared_data() -> Path:
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not here")
    return SHARED
