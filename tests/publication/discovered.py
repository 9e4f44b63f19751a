"""A discovery of made-up models, written by the discovery itself."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from ktlight.data.digits import load_digits
from ktlight.discovery.asking import Asked, Said
from ktlight.discovery.discover import Options, discover
from ktlight.report.discovery import Discovery, read_discovery

NAMES = ["good", "middling, b", "poor", "random vit"]
RIGHT = (0.95, 0.8, 0.5, 0.1)


def discovered(folder: Path, labels: bool = True) -> Discovery:
    """Return the discovery of four models, the last a random baseline, on the digits; one more could not be loaded."""
    dataset = load_digits()
    rng = np.random.default_rng(0)
    label = dataset.val.labels
    models = []
    for name, share in zip(NAMES, RIGHT, strict=True):
        prediction = np.where(rng.random(len(label)) < share, label, rng.integers(0, 10, len(label)))
        facts = {
            "model": name,
            "num_params": 10**6,
            "family": "vit",
            "weights": name,
            "provenance": "zoo",
            "reason": None,
        }
        facts |= {"baseline": name.startswith("random"), "architecture": "vit"}
        confidence = torch.from_numpy(rng.normal(2, 1, len(label)).astype(np.float32))
        models.append(Said(facts, torch.from_numpy(prediction).int(), confidence, None))
    images: Any = SimpleNamespace(rows=np.arange(len(label)), labels=label, reader=SimpleNamespace(table=dataset.val))
    alike = torch.rand(10, 10, generator=torch.Generator().manual_seed(0))
    asked = Asked(images, models, [{"model": "broken", "reason": "no </script>"}], {})
    discover(asked, dataset, Options("val", labels, 2, 0, 0, True, {"confusions": alike + alike.T}), folder)
    (folder / "config.yaml").write_text("task: discover\n")
    return read_discovery(folder)
