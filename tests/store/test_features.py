"""Stored features are those that the live source computes, and logits stored before them stay valid."""

from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from ktlight.answers.stored import OutputStore
from ktlight.errors import UserError
from ktlight.models.sources import LiveSource
from ktlight.store.entry import checked, read_entry
from ktlight.store.source import StoredSource
from tests.answers.test_stored import config, data, live
from tests.methods.features import featured


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    checked.clear()
    monkeypatch.setenv("KTLIGHT_CACHE", str(tmp_path))
    return tmp_path / "store"


def teacher() -> LiveSource:
    return LiveSource("teacher", featured(1, 16).frozen_copy())


def test_stored_features_are_the_live_ones(folder: Path) -> None:
    source, images = teacher(), data()
    OutputStore(config()).sources([source], images, epochs=5)
    logits_only = {path: path.stat().st_ino for path in folder.iterdir()}
    for _ in range(2):  # written, then read
        (stored,) = OutputStore(config()).sources([source], images, epochs=5, features=True)
        assert isinstance(stored, StoredSource) and stored.num_features == 16
        for epoch in range(3):
            loader = images.train_dataloader()
            loader.sampler.set_epoch(epoch)
            for batch in loader:
                for kept, computed in zip(
                    stored.logits_and_features(batch), source.logits_and_features(batch), strict=True
                ):
                    assert torch.equal(kept, computed)
    entries = {path: path.stat().st_ino for path in folder.iterdir()}
    assert len(entries) == 4 and logits_only.items() <= entries.items()  # of two views
    facts = [asdict(read_entry(path).key) for path in entries]
    assert sorted(fact["form"] for fact in facts) == ["features", "features", "full", "full"]


def test_readonly_needs_the_features_too() -> None:
    OutputStore(config()).sources([teacher()], data(), epochs=5)
    with pytest.raises(UserError, match="store=readonly, but the outputs of featured1"):
        OutputStore(config("store=readonly")).sources([teacher()], data(), epochs=5, features=True)


def test_off_computes_them_live(folder: Path) -> None:
    source = teacher()
    assert OutputStore(config("store=off")).sources([source], data(), 5, features=True) == [source]
    assert not folder.exists()


def test_compressed_logits_have_whole_features() -> None:
    source, images = teacher(), data()
    (stored,) = OutputStore(config("store.top_k=1")).sources([source], images, epochs=5, features=True)
    batch = next(iter(images.train_dataloader()))
    assert torch.equal(stored.logits_and_features(batch)[1], source.logits_and_features(batch)[1])


def test_a_model_without_features_is_refused() -> None:
    with pytest.raises(UserError, match=r"tiny0 \(Sequential\) has no classifier layer"):
        OutputStore(config()).sources([live()], data(), epochs=5, features=True)
