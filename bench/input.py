"""From JPEG bytes to batches of 224 px: our reader against the usual pipelines, in one and two processes.

Every pipeline uses the same crops (those of torchvision's RandomResizedCrop) and resizes them to 224 x 224 pixels; the
others run in a DataLoader as map-style data sets, with given random numbers. Optional packages: opencv, PyTurboJPEG.
"""

import io
import time
from collections.abc import Callable, Iterable
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.io import ImageReadMode, decode_jpeg, encode_jpeg
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as transforms

from bench.measure import Row, arguments, finish, warmed_up
from bench.setting import own_cache
from ktlight.data.augment import Augment, crop_box, view_uniforms
from ktlight.data.encoded import EncodedTable
from ktlight.data.loader import batch_loader
from ktlight.data.reader import MEMORY_BUDGET, BatchReader
from ktlight.data.samplers import TrainBatches
from ktlight.functional.geometry import Framing

SAMPLES = Path(__file__).resolve().parent.parent.parent / "shared/data/imagenet_samples/imagenet-samples.parquet"
SIZE, BATCH = 224, 64
SCALE, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)
OURS, KEPT = "ktlight", "ktlight, originals in memory"

Box = tuple[int, int, int, int]  # top, left, height, width
Way = Callable[[bytes, int], Tensor]


NUMBERS = view_uniforms(0, 0, np.arange(8 * BATCH))  # drawn one by one, they would cost the others 40 us an image


def box(row: int, height: int, width: int) -> Box:
    """Return the crop of a row, the same for all pipelines."""
    return crop_box(height, width, NUMBERS[row], SCALE, RATIO)


def by_pillow(encoded: bytes, row: int) -> Tensor:
    image = Image.open(io.BytesIO(encoded)).convert("RGB")
    top, left, height, width = box(row, image.height, image.width)
    crop = transforms.resized_crop(image, top, left, height, width, [SIZE, SIZE], antialias=True)
    return transforms.pil_to_tensor(crop)


def by_torchvision(encoded: bytes, row: int) -> Tensor:
    image = decode_jpeg(torch.frombuffer(bytearray(encoded), dtype=torch.uint8), mode=ImageReadMode.RGB)
    top, left, height, width = box(row, *image.shape[-2:])
    return transforms.resized_crop(
        image, top, left, height, width, [SIZE, SIZE], InterpolationMode.BILINEAR, antialias=True
    )


def by_opencv(decode: Callable[[bytes], Any]) -> Way:
    """Return the pipeline that decodes with ``decode`` to ``[h, w, 3]`` and resizes with OpenCV (bilinear)."""
    cv2 = import_module("cv2")
    cv2.setNumThreads(0)

    def read(encoded: bytes, row: int) -> Tensor:
        image = decode(encoded)
        top, left, height, width = box(row, *image.shape[:2])
        crop = cv2.resize(image[top : top + height, left : left + width], (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
        return torch.from_numpy(crop).permute(2, 0, 1)

    return read


def opencv_decode() -> Callable[[bytes], Any]:
    cv2 = import_module("cv2")
    return lambda encoded: cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR_RGB)


def turbojpeg_decode() -> Callable[[bytes], Any]:
    jpeg = import_module("turbojpeg").TurboJPEG()
    return lambda encoded: jpeg.decode(encoded, 0)  # 0: RGB


WAYS: dict[str, Callable[[], Way]] = {
    "torchvision decode + v2": lambda: by_torchvision,
    "PIL + torchvision v2": lambda: by_pillow,
    "simplejpeg + opencv": lambda: by_opencv(import_module("simplejpeg").decode_jpeg),
    "opencv": lambda: by_opencv(opencv_decode()),
    "PyTurboJPEG + opencv": lambda: by_opencv(turbojpeg_decode()),
}


class Crops(Dataset[Tensor]):
    """Images from one of the pipelines."""

    def __init__(self, encoded: list[bytes], way: Way) -> None:
        self.encoded = encoded
        self.way = way

    def __len__(self) -> int:
        return len(self.encoded)

    def __getitem__(self, row: int) -> Tensor:
        return self.way(self.encoded[row], row)


class InMemory:
    """Encoded images in a list."""

    def __init__(self, encoded: list[bytes]) -> None:
        self.encoded = encoded

    @property
    def sizes(self) -> np.ndarray:
        """Number of bytes of each."""
        return np.array([len(image) for image in self.encoded])

    def __len__(self) -> int:
        return len(self.encoded)

    def read(self, row: int) -> bytes:
        """Return one encoded image."""
        return self.encoded[row]

    def place(self, row: int) -> str:
        """Return where an image is."""
        return f"row {row}"


def jpegs(count: int) -> list[bytes]:
    """Return encoded images: the samples next to the repository if present, else smooth random ones."""
    if SAMPLES.exists():
        import pyarrow.parquet as pq

        images = pq.read_table(SAMPLES).column("image").to_pylist()
        return [image["bytes"] for image in images[:count]]
    coarse = torch.randint(0, 256, (count, 3, 16, 20), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return [encode_jpeg(transforms.resize(image, [256, 320])).numpy().tobytes() for image in coarse]


def ours(encoded: list[bytes], workers: int, kept: bool) -> Iterable[Any]:
    """Return our own loader of training views of the images, decoded each time or kept in memory."""
    table = EncodedTable(InMemory(encoded), np.zeros(len(encoded), np.int64), "bench")
    rows = np.arange(len(encoded))
    augment = Augment("resized_crop", scale=SCALE, ratio=RATIO)
    reader = BatchReader(table, rows, Framing((SIZE, SIZE)), augment, seed=0)
    if kept:
        reader.keep_in_memory(MEMORY_BUDGET)
    return batch_loader(reader, TrainBatches(rows, BATCH, seed=0, views=None), workers)


def one_pass(loader: Iterable[Any], count: int) -> Callable[[], float]:
    """Return a variant that reads all images once: the mean time between batches, excluding worker start-up."""

    def variant() -> float:
        ends = []
        for _ in loader:
            ends.append(time.perf_counter())
        return sum(after - before for before, after in pairwise(ends)) / (len(ends) - 1) / BATCH * count

    return variant


def available() -> tuple[dict[str, Way], list[Row]]:
    """Return the pipelines whose packages are installed, and a row for each of the others."""
    found, missing = {}, []
    for name, make in WAYS.items():
        try:
            found[name] = make()
        except (ImportError, RuntimeError, OSError) as error:
            missing.append(Row(name, None, note=f"not measured: {str(error).splitlines()[0]}"))
    return found, missing


def main(given: list[str] | None = None) -> None:
    options = arguments((__doc__ or "").splitlines()[0], seconds=25).parse_args(given)
    torch.set_num_threads(1)  # a process is one core
    encoded = jpegs(2 * BATCH if options.quick else 8 * BATCH)
    ways, rows = available()
    for workers in (0,) if options.quick else (0, 2):
        loaders: dict[str, Iterable[Any]] = {
            name: DataLoader(Crops(encoded, way), BATCH, num_workers=workers, persistent_workers=workers > 0)
            for name, way in ways.items()
        }
        with own_cache():
            variants = {name: one_pass(loader, len(encoded)) for name, loader in loaders.items()}
            for name, kept in ((OURS, False), (KEPT, True)):
                variants[name] = one_pass(ours(encoded, workers, kept), len(encoded))
            times = warmed_up(variants, options)
        best = min(loaders, key=lambda name: sum(times.seconds[name]))
        where = " (one process)" if workers == 0 else f" ({workers} workers)"
        for row in [times.row(OURS, best, at_most=1.0), *(times.row(name, OURS) for name in (KEPT, *loaders))]:
            assert row.milliseconds is not None
            speed = f"{1000 * len(encoded) / row.milliseconds:.0f} images/s"
            rows.append(Row(**{**vars(row), "name": row.name + where, "note": speed}))
    images = "imagenet_samples" if SAMPLES.exists() else "made images"
    finish(options, f"from JPEG bytes to batches of {BATCH} x {SIZE} px: {len(encoded)} of {images}", rows)


if __name__ == "__main__":
    main()
