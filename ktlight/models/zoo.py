"""The local zoo: models trained earlier, kept for the next run on the same data."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ktlight.models.classifier import Classifier
from ktlight.models.export import export_classifier
from ktlight.models.spec import ModelConfig


def cache_directory() -> Path:
    """Return the folder for what may be made again: ``$KTLIGHT_CACHE``, else ``~/.cache/ktlight``."""
    return Path(os.environ.get("KTLIGHT_CACHE") or "~/.cache/ktlight").expanduser()


class Zoo:
    """Folders of trained models, one for each model, data set and share of its training split.

    A model is its architecture, input size and constructor arguments: the same network at another input size, or with
    another patch size, is another entry. The data set is known by its content, not by its name.

    Args:
        root: Folder of all entries; by default ``zoo`` in the cache folder.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or cache_directory() / "zoo"

    def folder(self, config: ModelConfig, dataset_identity: str, fraction: float) -> Path:
        """Return where the model trained on ``fraction`` of the data belongs, whether it is there or not."""
        key = json.dumps([config.architecture, config.img_size, config.kwargs], sort_keys=True)
        digest = hashlib.sha256(key.encode()).hexdigest()[:8]
        return self.root / dataset_identity / f"{config.architecture}-{digest}" / f"fraction-{float(fraction)}"

    def find(self, config: ModelConfig, dataset_identity: str, fraction: float) -> Path | None:
        """Return the folder of a trained model: of the whole training split, else of exactly ``fraction``, else None.

        A model trained on another share never serves: it may have been trained on samples that this run holds back,
        or on fewer than it claims.
        """
        entries = [self.folder(config, dataset_identity, share) for share in (1.0, fraction)]
        return next((entry for entry in entries if (entry / "config.json").is_file()), None)

    def save(
        self,
        classifier: Classifier,
        config: ModelConfig,
        dataset_identity: str,
        fraction: float,
        *,
        record: Mapping[str, Any],
        class_names: Sequence[str] = (),
    ) -> Path:
        """Keep a trained classifier in place of an earlier one and return its folder; see :func:`export_classifier`."""
        folder = self.folder(config, dataset_identity, fraction)
        export_classifier(classifier, folder, record=record, class_names=class_names)
        return folder
