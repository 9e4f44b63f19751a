"""The no-regret guard, and the reference without training."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import timm
import torch
from conftest import Command
from safetensors.torch import load_file

from ktlight.data.digits import load_digits

HOLDOUT = "data.holdout=0.2"
HARMFUL = [
    "method=kl",
    "teacher=test_vit",
    "student=test_convnext",
    "optim=sgd",
    "optim.lr=0.5",
    "trainer.max_epochs=2",
    HOLDOUT,
]


@pytest.fixture(scope="module")
def folders(zoo: dict[str, Path], run_in: Callable[..., Path]) -> dict[str, Path]:
    return {guard: run_in(guard, *HARMFUL, f"guard={guard}") for guard in ("off", "wise", "rollback")}


def results_of(folder: Path) -> dict[str, Any]:
    results: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return results


def columns_of(folder: Path) -> dict[str, np.ndarray]:
    table = pq.read_table(folder / "predictions.parquet")
    return {name: table[name].to_numpy() for name in table.column_names}


def test_a_harmful_transfer_is_taken_back(folders: dict[str, Path]) -> None:
    off, rollback = results_of(folders["off"]), results_of(folders["rollback"])
    assert off["transfer_delta"] < -5 and off["guard"] is None  # the rate is far too high
    assert rollback["guard"]["share"] == 0 and rollback["transfer_delta"] == 0
    assert rollback["weights_after"] == rollback["weights_before"]
    assert rollback["unguarded_transfer_delta"] == off["transfer_delta"]
    np.testing.assert_array_equal(columns_of(folders["rollback"])["unguarded"], columns_of(folders["off"])["after"])


def test_the_best_point_of_the_way_is_taken(folders: dict[str, Path]) -> None:
    guard = results_of(folders["wise"])["guard"]
    assert [point["share"] for point in guard["tried"]] == pytest.approx([step / 10 for step in range(11)])
    best = max(guard["tried"], key=lambda point: (point["acc"], point["log_likelihood"], -point["share"]))
    assert guard["share"] == best["share"] and guard["held_out"] == 72
    initial, learned, kept = (
        load_file(folder / "student" / "model.safetensors")
        for folder in (folders["rollback"], folders["off"], folders["wise"])
    )  # rollback gave the initial student back
    for name, weights in kept.items():
        expected = (1 - best["share"]) * initial[name].double() + best["share"] * learned[name].double()
        torch.testing.assert_close(weights.double(), expected, rtol=1e-5, atol=1e-7)


def test_statistics_of_batchnorm_are_those_of_the_kept_network(
    zoo: dict[str, Path], command: Command, tmp_path: Path
) -> None:
    """Part of the way, the first layer's running mean is what a pass over the first view of the images gives."""
    from ktlight.models.build import load_network
    from ktlight.models.spec import ModelConfig

    options = ["student=test_resnet", "method=kl", "teacher=test_convnext", "trainer.max_epochs=1", HOLDOUT]
    options += ["guard=wise", "guard.steps=3", "optim=sgd", "optim.lr=0.3", "data.augment.kind=none"]
    assert command(*options, "hydra.run.dir=run").code == 0
    results = results_of(tmp_path / "run")
    assert 0 < results["guard"]["share"] < 1 and not results["batchnorm"]["student"]["kept"]
    network: Any = load_network(ModelConfig("test_resnet", "test_resnet"), str(tmp_path / "run" / "student"))
    data = load_digits().train
    apart = pq.read_table(tmp_path / "run" / "guard.parquet")["index"].to_pylist()
    rows = sorted(set(range(360)) - set(apart))
    images = torch.stack([data.image(row) for row in rows]).float() / 255  # type: ignore[union-attr]
    config = timm.data.resolve_model_data_config(network)
    mean, std = (torch.tensor(config[name])[:, None, None] for name in ("mean", "std"))
    seen = {}
    layer = next(part for part in network.modules() if isinstance(part, torch.nn.BatchNorm2d))
    layer.register_forward_pre_hook(lambda _, inputs: seen.update(input=inputs[0]))
    with torch.no_grad():
        network.eval()((images - mean) / std)
    torch.testing.assert_close(layer.running_mean, seen["input"].mean((0, 2, 3)), rtol=1e-3, atol=1e-4)


def test_the_scores_follow_from_the_answers_kept(folders: dict[str, Path]) -> None:
    table = pq.read_table(folders["wise"] / "guard.parquet")
    label = table["label"].to_numpy()
    for point in results_of(folders["wise"])["guard"]["tried"]:
        share = f"{point['share']:g}"
        assert point["acc"] == pytest.approx(100 * (table[f"prediction_{share}"].to_numpy() == label).mean())
        assert point["log_likelihood"] == pytest.approx(table[f"log_probability_{share}"].to_numpy().mean())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["guard=wise", "data.holdout=0"], "data.holdout"),
        (["guard=wise", "data.holdout=1.5"], "data.holdout=1.5 must be"),
        (["guard=wise", "data.evaluate_on=holdout"], "data.evaluate_on=val"),
        (["guard=wise", "guard.steps=0"], "guard.steps=0 must be"),
        (["guard=wize"], "wise"),
        (["method=ensemble", "guard=rollback"], "use guard=off"),
    ],
)
def test_what_cannot_work_is_refused(
    options: list[str], message: str, zoo: dict[str, Path], command: Command, tmp_path: Path
) -> None:
    ended = command(*options, "trainer.max_epochs=1", "hydra.run.dir=run")
    assert ended.code == 1 and message in ended.err and "Traceback" not in ended.err
    assert not (tmp_path / "run" / "results.json").exists()


@pytest.mark.parametrize(("rule", "column"), [("most_confident", "ensemble"), ("mean", "ensemble_mean")])
def test_the_ensemble_trains_nothing_and_is_the_reference_shown_everywhere(
    rule: str, column: str, zoo: dict[str, Path], command: Command, tmp_path: Path
) -> None:
    assert command("method=ensemble", f"method.rule={rule}", "hydra.run.dir=run").code == 0
    results, columns = results_of(tmp_path / "run"), columns_of(tmp_path / "run")
    np.testing.assert_array_equal(columns["after"], columns[column])
    assert results["weights_after"] == results["weights_before"] and results["epochs"] == 0
    assert results["transfer_delta"] == pytest.approx(results[f"acc_{column}"] - results["acc_before"])
    assert not (tmp_path / "run" / "student").exists()


def test_kept_statistics_stay_with_the_guard_too(zoo: dict[str, Path], command: Command, tmp_path: Path) -> None:
    """``transfer.batchnorm=own``: the weights move part of the way, the statistics stay as they came, bit for bit."""
    assert command("task=pretrain", "student=test_resnet", "hydra.run.dir=start").code == 0
    options = ["student=test_resnet", "student.checkpoint=start/student", "method=kl", "teacher=test_convnext", HOLDOUT]
    options += ["trainer.max_epochs=1", "guard=wise", "guard.steps=3", "optim=sgd", "optim.lr=0.3"]
    assert command(*options, "transfer.batchnorm=own", "hydra.run.dir=run").code == 0
    results = results_of(tmp_path / "run")
    assert 0 < results["guard"]["share"] < 1 and results["batchnorm"] == {"student": {"kept": True}}
    start, kept = (load_file(tmp_path / folder / "student" / "model.safetensors") for folder in ("start", "run"))
    same = {name for name, value in kept.items() if torch.equal(value, start[name])}
    assert same == {name for name in kept if name.endswith(("running_mean", "running_var", "num_batches_tracked"))}
