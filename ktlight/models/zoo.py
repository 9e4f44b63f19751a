"""The local zoo: models trained earlier, kept for the next run on the same data."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ktlight.models.classifier import Classifier
from ktlight.models.export import export_classifier
from ktlight.models.spec import ModelConfig


def cache_directory() -> Path:
    """Return the folder for what may be made again: ``$KTLIGHT_CACHE``, else ``~/.cache/ktlight``."""
    return Path(os.environ.get("KTLIGHT_CACHE") or "~/.cache/ktlight").expanduser()


@dataclass(frozen=True)
class TrainingShare:
    """Which part of a training split a model learned from.

    Attributes:
        fraction: Stratified share of the split in use.
        holdout: Share of that kept apart.
    """

    fraction: float = 1.0
    holdout: float = 0.0

    def __str__(self) -> str:
        return f"fraction-{float(self.fraction)}" + (f"-holdout-{float(self.holdout)}" if self.holdout else "")


class Zoo:
    """Folders of trained models, one for each model, data set and share of its training split.

    A model is its architecture, input size and constructor arguments: the same network at another input size, or with
    another patch size, is another entry. The data set is known by its content, not by its name.

    Args:
        root: Folder of all entries; by default ``zoo`` in the cache folder.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or cache_directory() / "zoo"

    def folder(self, config: ModelConfig, dataset_identity: str, share: TrainingShare) -> Path:
        """Return where the model trained on ``share`` of the data belongs, whether it is there or not."""
        key = json.dumps([config.architecture, config.img_size, config.kwargs], sort_keys=True)
        digest = hashlib.sha256(key.encode()).hexdigest()[:8]
        return self.root / dataset_identity / f"{config.architecture}-{digest}" / str(share)

    def find(self, config: ModelConfig, dataset_identity: str, share: TrainingShare) -> Path | None:
        """Return the folder of a model trained on the whole split, else on exactly ``share``, else None.

        Where images are held out, only the model trained without them serves. A model trained on any other share never
        does: it may have been trained on samples that this run holds back, or on fewer than it claims.
        """
        shares = [share] if share.holdout else [TrainingShare(), share]
        entries = [self.folder(config, dataset_identity, share) for share in shares]
        return next((entry for entry in entries if (entry / "config.json").is_file()), None)

    def save(
        self,
        classifier: Classifier,
        config: ModelConfig,
        dataset_identity: str,
        share: TrainingShare,
        *,
        record: Mapping[str, Any],
        class_names: Sequence[str] = (),
    ) -> Path:
        """Keep a trained classifier in place of an earlier one and return its folder; see :func:`export_classifier`."""
        folder = self.folder(config, dataset_identity, share)
        export_classifier(classifier, folder, record=record, class_names=class_names)
        return folder
