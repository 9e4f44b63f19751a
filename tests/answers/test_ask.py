"""A model's answer depends on the model and the image alone, however and beside whom it is asked."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import tiny
import torch
from PIL import Image
from torch import nn

from ktlight.answers.ask import all_logits, answers, ask
from ktlight.answers.stored import OutputStore
from ktlight.functional.geometry import Framing
from ktlight.models.classifier import Classifier
from ktlight.models.sources import LiveSource, tiles
from tests.answers.test_stored import config


def framed(seed: int, size: int) -> Classifier:
    """A linear classifier of images of a size of its own."""

    class Own(tiny.Scale):
        framing = Framing((size, size), 0.8)

    torch.manual_seed(seed)
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * size**2, tiny.CLASSES))

    class Framed(Classifier):
        framing = property(lambda self: self.preprocess.framing)  # type: ignore[assignment]

    return Framed(network, Own(), name=f"framed{seed}", architecture="framed", num_classes=tiny.CLASSES)


def test_all_that_is_asked_comes_in_order_and_is_what_the_network_says(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("KTLIGHT_CACHE", str(tmp_path))
    model, data = framed(0, 8), tiny.data_module()
    images = data.test_images(model.framing)
    blocks = list(ask(model, images, OutputStore(config())))
    assert [len(block) for block in blocks] == [7, 7, 6]
    expected = torch.stack([model.framing(image) for image in data.dataset.val.images])
    torch.testing.assert_close(torch.cat(blocks), model(expected))
    frozen = model.frozen_copy()
    for _ in range(2):  # computed and stored, then read
        assert torch.equal(all_logits(frozen, images, OutputStore(config())), torch.cat(blocks))
    assert any(tmp_path.rglob("logits.bin"))


def test_answers_do_not_depend_on_who_else_is_asked(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("KTLIGHT_CACHE", str(tmp_path))
    data, outputs = tiny.data_module(), OutputStore(config("store=off"))
    models = {"student": framed(0, 8), "teacher1": framed(1, 16), "teacher2": tiny.classifier(2)}
    together = answers(models, data, outputs)
    for role, model in models.items():
        alone = answers({role: model}, data, outputs)
        assert torch.equal(alone.prediction[role], together.prediction[role])
        assert torch.equal(alone.confidence[role], together.confidence[role])
    assert together.index.tolist() == list(range(20))


def test_a_tile_is_whole_and_fits_the_cache() -> None:
    assert [len(tile) for tile in tiles(torch.zeros(70, 3, 224, 224, dtype=torch.uint8))] == [32, 32, 32]
    assert [len(tile) for tile in tiles(torch.zeros(70, 3, 32, 32, dtype=torch.uint8))] == [96]


def test_an_answer_does_not_depend_on_the_batch() -> None:
    model = framed(0, 8)
    source = LiveSource("", model)
    batch = {**tiny.batch(12), "image": torch.randint(0, 256, (12, 3, 8, 8), dtype=torch.uint8)}
    whole = source.logits(batch)
    parts = [source.logits({**batch, "image": batch["image"][start : start + 5]}) for start in range(0, 12, 5)]
    assert torch.equal(torch.cat(parts), whole)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images that are not square, of two classes that show."""
    root, random = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for split, count in (("train", 12), ("val", 20)):
        for label in range(2):
            folder = root / split / f"class{label}"
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 200, (48 + number, 80 - number, 3)) + 55 * label
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
    return root


def test_evaluate_and_every_pair_say_the_same_of_a_model(photos: Path, run_in: Callable[..., Path]) -> None:
    data = ["data=imagefolder", f"data.root={photos}", "pretrain.epochs=1", "student.img_size=32"]
    large = ["student=test_vit", "teacher=test_resnet", "teacher.img_size=64"]
    short = ["trainer.max_epochs=1", "recipe.steps=0", "method=kl_dp"]
    runs = {
        "evaluate": run_in("evaluate", "task=evaluate", "student=test_vit", *data),
        "small": run_in("small", "student=test_vit", "teacher=test_convnext", "teacher.img_size=32", *data, *short),
        "large": run_in("large", *large, *data, *short),
        "live": run_in("live", *large, *data, *short, "store=off"),
    }
    results = {name: json.loads((folder / "results.json").read_text()) for name, folder in runs.items()}
    assert results["evaluate"]["weights"] == results["small"]["weights_before"] == results["large"]["weights_before"]
    columns = [
        pq.read_table(runs[name] / "predictions.parquet")[column].to_numpy()
        for name, column in (("evaluate", "student"), ("small", "before"), ("large", "before"), ("live", "before"))
    ]
    assert all((column == columns[0]).all() for column in columns)
    accuracies = {results["evaluate"]["acc"], *(results[name]["acc_before"] for name in ("small", "large", "live"))}
    assert len(accuracies) == 1
