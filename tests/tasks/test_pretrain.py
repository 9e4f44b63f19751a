import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import safetensors.torch
import timm
import torch
from conftest import Command
from torch import Tensor


def weights(folder: Path) -> dict[str, Tensor]:
    return safetensors.torch.load_file(folder / "model.safetensors")


def learns(name: str) -> bool:
    return not name.endswith(("running_mean", "running_var", "num_batches_tracked"))


def test_the_model_is_kept_in_the_run_and_in_the_zoo(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KTLIGHT_CACHE", str(tmp_path / "cache"))
    ended = command("task=pretrain", "student=test_resnet", "hydra.run.dir=run", "pretrain.epochs=1")
    assert ended.code == 0, ended.err
    (entry,) = (tmp_path / "cache" / "zoo").glob("*/test_resnet-*")
    assert weights(entry).keys() == weights(tmp_path / "run" / "student").keys()
    for name, value in weights(entry).items():
        assert torch.equal(value, weights(tmp_path / "run" / "student")[name])
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    table = pq.read_table(tmp_path / "run" / "predictions.parquet")
    assert results["acc"] == pytest.approx(100 * np.mean(table["student"].to_numpy() == table["label"].to_numpy()))
    assert results["num_eval"] == 1437 and results["epochs"] == 1
    record = json.loads((entry / "training_record.json").read_text())
    assert record["acc"] == results["acc"] and record["recipe"]["training"]["label_smoothing"] == 0.1

    for number, options in enumerate((["pretrain.epochs=1"], [f"student.checkpoint=zoo:{entry.name}"])):
        evaluated = command("task=evaluate", "student=test_resnet", *options, f"hydra.run.dir=evaluated{number}")
        assert evaluated.code == 0, evaluated.err
        assert (
            f"student: test_resnet, zoo:{entry.name} (1 epoch, seed 0, {results['acc']:.2f}%); 32 px" in evaluated.out
        )
        again = json.loads((tmp_path / f"evaluated{number}" / "results.json").read_text())
        assert (again["acc"], again["num_eval"], again["weights"]) == (results["acc"], 1437, results["weights"])
        facts = again["models"]["student"]
        assert facts["provenance"] == {
            "source": "zoo", "location": entry.name, "epochs": 1, "seed": 0,
            "acc": results["acc"], "holdout": None, "data": entry.parent.name, "licence": None,
        }  # fmt: skip
        assert (facts["family"], facts["input_size"], facts["crop_pct"]) == ("resnet", [3, 32, 32], 1.0)
        assert facts["parameters"] == sum(value.numel() for name, value in weights(entry).items() if learns(name))
        assert facts["weights"] == results["weights"]


def test_the_same_recipe_is_trained_once_and_another_is_another_model(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KTLIGHT_CACHE", str(tmp_path / "cache"))
    for folder, options in {
        "first": ["pretrain.name=mine"],
        "same": ["trainer.max_epochs=1", "trainer.progress=false"],
        "other": ["pretrain.seed=1"],
        "taken": ["seed=1", "pretrain.name=mine", "pretrain.epochs=1"],
    }.items():
        ended = command(
            "task=pretrain",
            "student=test_resnet",
            *dict.fromkeys(["pretrain.epochs=1", *options]),
            f"hydra.run.dir={folder}",
        )
        assert ended.code == (1 if folder == "taken" else 0), ended.err
        assert ("nothing to train" in ended.out) == (folder == "same")
        assert (tmp_path / folder / "curves.csv").exists() == (folder in ("first", "other"))
    assert "pretrain.name=mine is taken by zoo:mine (1 epoch, seed 0" in ended.err
    first, same, other = (
        json.loads((tmp_path / folder / "results.json").read_text()) for folder in ("first", "same", "other")
    )
    assert same["models"]["student"]["provenance"]["source"] == "zoo"
    for told in ("seconds", "models"):  # they tell how the results came about
        del first[told], same[told]
    assert first == same and other["weights"] != first["weights"] and other["seed"] == 1
    assert len([*(tmp_path / "cache" / "zoo").glob("*/test_resnet-*")]) == 2

    wrong = command("task=evaluate", "student=test_resnet", "student.checkpoint=zoo:mein", "hydra.run.dir=wrong")
    assert wrong.code == 1 and "the zoo has no model mein. Did you mean mine?" in wrong.err
    wrong = command("task=evaluate", "student=test_vit", "student.checkpoint=zoo:mine", "hydra.run.dir=wrong")
    assert wrong.code == 1 and "is a test_resnet, not a test_vit" in wrong.err
    large = command("task=evaluate", "student=test_resnet", "data.pretrain.max_images=0", "hydra.run.dir=large")
    assert large.code == 1 and "The zoo has zoo:mine (1 epoch, seed 0, " in large.err


def test_the_models_of_a_run_do_not_depend_on_the_options_of_its_transfer(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KTLIGHT_CACHE", str(tmp_path / "cache"))
    weights = set()
    for folder, options in {
        "plain": [],
        "other": ["data.views=1", "trainer.accumulate_grad_batches=2", "trainer.gradient_clip_val=0.1", "optim.lr=0.1"],
        "seed": ["seed=1", "pretrain.seed=0"],
    }.items():
        ended = command(
            "task=evaluate", "student=test_resnet", "pretrain.epochs=1", *options, f"hydra.run.dir={folder}"
        )
        assert ended.code == 0, ended.err
        assert ("trained now" in ended.out) == (folder == "plain")
        weights.add(json.loads((tmp_path / folder / "results.json").read_text())["weights"])
    assert len(weights) == 1


def test_the_head_alone(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KTLIGHT_CACHE", str(tmp_path / "cache"))
    base = tmp_path / "base"
    recorded = {"input_size": (3, 32, 32), "crop_pct": 1.0}
    network = timm.create_model("test_resnet", num_classes=7, pretrained_cfg_overlay=recorded)  # it has BatchNorm
    timm.models.save_for_hf(network, str(base), safe_serialization=True)
    ended = command(
        "task=pretrain", "student=test_resnet", f"student.checkpoint={base}", "pretrain.part=head",
        "pretrain.epochs=1", "hydra.run.dir=run",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    before, after = weights(base), weights(tmp_path / "run" / "student")
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert changed == {"fc.weight", "fc.bias"}  # a new head for ten classes, and not one statistic of the rest
    assert after["fc.weight"].shape[0] == 10


def test_a_head_on_random_features_is_refused(command: Command, tmp_path: Path) -> None:
    ended = command("task=pretrain", "student=test_resnet", "pretrain.part=head", "hydra.run.dir=run")
    assert ended.code == 1 and "student.checkpoint=" in ended.err


def test_the_moving_average_is_what_is_kept(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pretrain(cache: str, *options: str) -> dict[str, Tensor]:
        monkeypatch.setenv("KTLIGHT_CACHE", str(tmp_path / cache))
        ended = command(
            "task=pretrain", "student=test_vit", "pretrain.epochs=1", f"hydra.run.dir={cache}-run", *options
        )
        assert ended.code == 0, ended.err
        return weights(tmp_path / f"{cache}-run" / "student")

    plain, immediate, never = (
        pretrain("a"),
        pretrain("b", "pretrain.ema_decay=0.0"),
        pretrain("c", "pretrain.ema_decay=1.0"),
    )
    assert all(torch.equal(immediate[name], value) for name, value in plain.items())
    assert any(not torch.equal(never[name], value) for name, value in plain.items())


@pytest.mark.parametrize(
    ("option", "choices"),
    [
        ("pretrain.part=some", "all or head"),
        ("pretrain.init=warm", "scratch or hub"),
        ("pretrain.optim.decay=linear", "constant or cosine"),
    ],
)
def test_unknown_choices_are_refused(option: str, choices: str, command: Command) -> None:
    ended = command("task=pretrain", "student=test_resnet", option, "hydra.run.dir=run")
    assert ended.code == 1 and choices in ended.err
