"""Evaluation: our loop against a bare one in timm's fastest layout, and our predictions against plain timm's.

Uses real images and weights if `../shared` has them, else random ones, which only show the time.
"""

import argparse
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import timm
import torch
from PIL import Image
from torch import Tensor

from bench.measure import Row, arguments, finish, timed, warmed_up
from bench.setting import QUICK, configured, own_cache
from ktlight.answers.ask import all_logits
from ktlight.answers.stored import OutputStore
from ktlight.data.arrays import TensorTable
from ktlight.data.dataset import ImageDataset, numbered_classes
from ktlight.data.decoding import decode
from ktlight.data.parquet import read_parquet
from ktlight.models.build import load_network
from ktlight.models.classifier import Classifier
from ktlight.models.preprocess import Preprocess
from ktlight.models.sources import LiveSource
from ktlight.models.spec import ModelConfig
from ktlight.training.assemble import data_module

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"
WEIGHTS, SAMPLES = SHARED / "zoo" / "imagenet", SHARED / "data" / "imagenet_samples" / "imagenet-samples.parquet"
NAME = "tf_efficientnet_lite0"
CASES: dict[str, tuple[str, dict[str, str]]] = {
    "lite0": (NAME, {}),
    "lite1": ("tf_efficientnet_lite1", {}),
    "lite2": ("tf_efficientnet_lite2", {}),
    "lite0, squash": (NAME, {"crop_mode": "squash"}),
    "lite0, bilinear": (NAME, {"interpolation": "bilinear"}),
}
ODD_SIZES = ((17, 251), (500, 31), (9, 9), (1023, 777), (224, 224), (333, 640), (64, 65), (1200, 40), (3000, 2000))
OURS, NCHW, CHANNELS_LAST = "ktlight", "bare loop", "bare loop, channels-last"
BATCH = 32


def load(name: str, recorded: dict[str, str]) -> Classifier:
    """Return a model with the weights in `../shared`, else random ones, overriding the settings that timm records."""
    file = WEIGHTS / f"{name}.safetensors"
    config = ModelConfig(name, name, checkpoint=str(file))
    network = load_network(config, str(file)) if file.exists() else timm.create_model(name)
    network.pretrained_cfg.update(recorded)  # type: ignore[operator, union-attr]
    return Classifier.from_network(network, name=name).freeze()


def bare(classifier: Classifier, pixels: Tensor, layout: torch.memory_format) -> Callable[[], Tensor]:
    """Return the obvious loop, on the same decoded pixels."""
    network = timm.create_model(classifier.architecture).eval().to(memory_format=layout)
    preprocess = classifier.preprocess
    assert isinstance(preprocess, Preprocess)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (preprocess.mean, preprocess.std))

    @torch.inference_mode()
    def loop() -> Tensor:
        parts = pixels.split(BATCH)  # type: ignore[no-untyped-call]
        return torch.cat([network(((part / 255 - mean) / std).contiguous(memory_format=layout)) for part in parts])

    return loop


def timing_rows(images: Sequence[Tensor], options: argparse.Namespace) -> list[Row]:
    """Time one pass over framed images in memory."""
    classifier = load(NAME, {})
    assert classifier.framing is not None
    pixels = torch.stack([classifier.framing(image) for image in images])
    table = TensorTable(pixels, torch.zeros(len(pixels), dtype=torch.int64).numpy())
    config = configured(QUICK, "store=off", "data.workers=0", "trainer.progress=false")
    data = data_module(config, ImageDataset("pixels", None, table, numbered_classes(1000)))
    outputs, view = OutputStore(config), data.test_images(classifier.framing)
    variants = {
        OURS: timed(lambda: all_logits(classifier, view, outputs)),
        NCHW: timed(bare(classifier, pixels, torch.contiguous_format)),
        CHANNELS_LAST: timed(bare(classifier, pixels, torch.channels_last)),
    }
    times = warmed_up(variants, options)
    return [times.row(NCHW), times.row(CHANNELS_LAST, NCHW), times.row(OURS, CHANNELS_LAST, at_most=1.15)]


def odd(images: Sequence[bytes]) -> list[bytes]:
    """Return the images at odd, non-square, tiny and huge sizes."""
    changed = []
    for number, encoded in enumerate(images):
        stream = io.BytesIO()
        picture = Image.open(io.BytesIO(encoded)).convert("RGB").resize(ODD_SIZES[number % len(ODD_SIZES)])
        picture.save(stream, "PNG", compress_level=1)
        changed.append(stream.getvalue())
    return changed


@torch.inference_mode()
def agreement(classifier: Classifier, encoded: Sequence[bytes]) -> float:
    """Return the percentage of images for which timm's own transform and eager network predict the same class."""
    assert isinstance(classifier.preprocess, Preprocess) and classifier.framing is not None
    transform = timm.data.create_transform(**classifier.preprocess.data_config())
    source, same = LiveSource("", classifier), 0
    source.to(torch.device("cpu"))
    for start in range(0, len(encoded), BATCH):
        part = encoded[start : start + BATCH]
        framed = torch.stack([classifier.framing(decode(each)) for each in part])
        ours = source.logits({"image": framed, "label": torch.empty(0), "index": torch.empty(0), "view": -1})
        pictures = torch.stack([transform(Image.open(io.BytesIO(each)).convert("RGB")) for each in part])
        same += int((ours.argmax(1) == classifier.network(pictures).argmax(1)).sum())
    return 100 * same / len(encoded)


def agreement_rows(encoded: Sequence[bytes]) -> list[Row]:
    """Compare predictions on the images as they are and at odd sizes."""
    rows = []
    for name, (model, recorded) in CASES.items():
        classifier = load(model, recorded)
        for what, images in (("as they are", encoded), ("odd sizes", odd(encoded))):
            share = agreement(classifier, images)
            note = f"{share:.2f}% of {len(images)} predictions are timm's"
            rows.append(Row(f"{name}, {what}", None, None, ">= 99.9%", share >= 99.9, note=note))
    return rows


def main(given: list[str] | None = None) -> None:
    options = arguments(__doc__ or "", seconds=60).parse_args(given)
    real = SAMPLES.is_file() and not options.quick
    if real:
        table = read_parquet(str(SAMPLES), None, None)
        encoded = [table.images.read(row) for row in range(len(table))]
        images = [decode(each) for each in encoded]
    else:
        images = list(torch.randint(0, 256, (2 * BATCH, 3, 256, 256), dtype=torch.uint8))
    with own_cache():
        rows = timing_rows(images, options)
        if real and WEIGHTS.is_dir():
            rows += agreement_rows(encoded)
    finish(options, f"evaluation: {NAME}, {len(images)} images", rows)


if __name__ == "__main__":
    main()
