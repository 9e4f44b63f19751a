"""Made-up results of a transfer, whole enough to be read as those of a run."""

import json
from pathlib import Path
from typing import Any

from ktlight.report.schema import SCHEMA


def facts(name: str, parameters: int = 1000) -> dict[str, Any]:
    """Return what results say of a model."""
    return {
        "name": name, "architecture": name, "family": "tiny", "parameters": parameters, "provenance": None,
        "input_size": [3, 32, 32], "crop_pct": 0.875, "crop_mode": "center", "interpolation": "bicubic",
        "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "weights": "0" * 64,
    }  # fmt: skip


def transfer_results(**changes: Any) -> dict[str, Any]:
    """Return the results of a transfer, with some fields replaced or added."""
    results = {
        "schema": SCHEMA, "task": "transfer", "method": "kl_dp", "teacher": "vit_b", "student": "resnet50",
        "data": "digits", "schedule": "parallel", "evaluated_on": "val", "seed": 3, "epochs": 6, "num_train": 360,
        "num_eval": 1437, "class_names": ["0", "1"],
        "acc_before": 71.234, "acc_teacher": 82.345, "acc_ensemble": 83.456, "acc_ensemble_mean": 84.567,
        "acc_after": 74.567,
        "transfer_delta": 3.333, "transfer_delta_ci95": [1.111, 5.555], "mcnemar_p": 0.01,
        "knowledge_gain": 6.666, "knowledge_loss": 3.334, "complementary_knowledge": 14.789, "transfer_rate": 31.415,
        "flip_entropy": 1.0, "top20_classes": ["3", "8"], "teacher_share": 64.283, "guard": None,
        "weights_before": "0" * 64, "weights_after": "1" * 64,
        "models": {"student": facts("resnet50", 1000), "teacher": facts("vit_b", 700)},
        "seconds": {"load": 1.0}, "versions": {"ktlight": "0"},
    }  # fmt: skip
    return {**results, **changes}


def write_run(folder: Path, results: dict[str, Any], *options: str) -> Path:
    """Write a finished run as the command line leaves it, with the options that were typed."""
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text(json.dumps(options))
    (folder / "results.json").write_text(json.dumps(results))
    return folder
