"""Discovery on the command line: its files say what every pair's own figures say, whatever goes wrong with a model."""

import json
import math
import shlex
from collections.abc import Callable
from io import BytesIO
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import timm
import torch
from conftest import Command, figures
from PIL import Image
from safetensors.torch import save_file

from ktlight.answers.stored import OutputStore
from ktlight.models.zoo import Zoo
from ktlight.report.discovery import SCHEMAS, Discovery, read_discovery
from ktlight.report.results import transfer_figures
from tests.test_bad_input import assert_refused

PAIR = "models=[test_vit,test_convnext]"
REQUIRED = {
    "teacher", "student", "acc_teacher", "acc_student", "positive_flips", "negative_flips", "positive_flips_ci95_low",
    "positive_flips_ci95_high", "flip_entropy", "top20_classes", "error_consistency", "acc_ensemble",
}  # fmt: skip


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No model and no outputs are kept yet, whichever tests ran before."""
    monkeypatch.setenv("KTLIGHT_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory, zoo: dict[str, Path]) -> dict[str, str]:
    """What may be wrong with a checkpoint, each as an entry of the list."""
    folder = tmp_path_factory.mktemp("weights")
    (folder / "broken.safetensors").write_bytes(b"no weights at all")
    save_file(timm.create_model("test_vit", num_classes=3).state_dict(), folder / "three.safetensors")
    state = timm.create_model("test_vit", num_classes=10).state_dict()
    save_file({name: value * torch.nan for name, value in state.items()}, folder / "nan.safetensors")
    files = {name: f"{folder}/{name}.safetensors" for name in ("broken", "three", "nan")}
    files["twin"] = str(zoo["test_vit"])
    return {name: f"{{name: test_vit, checkpoint: {file}}}" for name, file in files.items()}


@pytest.fixture(scope="module")
def discovered(weights: dict[str, str], run_in: Callable[..., Path]) -> Discovery:
    models = ",".join(["test_vit", "test_convnext", *weights.values()])
    return read_discovery(run_in("discover", "task=discover", f"models=[{models}]", "discovery.baseline=true"))


def test_every_pair_says_what_a_transfer_between_them_would(discovered: Discovery) -> None:
    assert set(SCHEMAS["pairs"].names) >= REQUIRED
    assert discovered.table("pairs").schema.equals(SCHEMAS["pairs"])
    said = pq.read_table(discovered.folder / "predictions.parquet").to_pydict()
    rows = {(row["teacher"], row["student"]): row for row in discovered.table("pairs").to_pylist()}
    models = discovered.facts["models"]
    assert set(rows) == set(permutations(models, 2)) and len(models) == 3
    label = torch.tensor(said["label"])
    for (teacher, student), row in rows.items():
        columns = {
            "label": label, "before": torch.tensor(said[student]), "teacher": torch.tensor(said[teacher]),
        }  # fmt: skip
        surer = torch.tensor(said[f"{teacher}_confidence"]) > torch.tensor(said[f"{student}_confidence"])
        columns["ensemble"] = columns["ensemble_mean"] = torch.where(surer, columns["teacher"], columns["before"])
        columns["after"] = columns["teacher"]
        expected = transfer_figures(columns, discovered.facts["class_names"])
        assert row["positive_flips"] == pytest.approx(expected["complementary_knowledge"])
        assert row["acc_teacher"] - row["acc_student"] == pytest.approx(row["positive_flips"] - row["negative_flips"])
        assert [row["acc_difference_ci95_low"], row["acc_difference_ci95_high"]] == pytest.approx(
            expected["transfer_delta_ci95"]
        )
        for figure, name in (("acc_teacher", "acc_teacher"), ("acc_student", "acc_before")):
            assert row[figure] == pytest.approx(expected[name])
        assert row["acc_ensemble"] == pytest.approx(expected["acc_ensemble"])
        assert row["flip_entropy"] == pytest.approx(expected["flip_entropy"])
        assert (
            row["top20_classes"] == expected["top20_classes"] and len(row["top20_classes"]) == row["num_top20_classes"]
        )
        assert row["acc_ensemble_mean"] <= row["acc_oracle"] + 1e-9


def test_classes_add_up_to_the_flips_of_their_pair(discovered: Discovery) -> None:
    counts: dict[tuple[str, str], int] = {}
    experts = {(row["model"], row["class"]) for row in discovered.table("expertise").to_pylist() if row["expertise"]}
    for row in discovered.table("classes").to_pylist():
        pair = (row["teacher"], row["student"])
        counts[pair] = counts.get(pair, 0) + row["positive_flips"]
        assert row["expertise"] == ((row["teacher"], row["class"]) in experts)
        assert discovered.facts["class_names"][row["class_index"]] == row["class"]
    for row in discovered.table("pairs").to_pylist():
        flips = counts.get((row["teacher"], row["student"]), 0)
        assert row["positive_flips"] == pytest.approx(100 * flips / discovered.facts["num_eval"])


def test_examples_are_the_flips_of_greatest_difference_in_confidence(discovered: Discovery) -> None:
    said = {name: np.array(values) for name, values in
            pq.read_table(discovered.folder / "predictions.parquet").to_pydict().items()}  # fmt: skip
    found: dict[tuple[str, str], list[int]] = {}
    for row in discovered.table("examples").to_pylist():
        found.setdefault((row["teacher"], row["student"]), []).append(row["index"])
    for teacher, student in permutations(discovered.facts["models"], 2):
        flips = np.flatnonzero((said[teacher] == said["label"]) & (said[student] != said["label"]))
        surer = said[f"{teacher}_confidence"][flips] - said[f"{student}_confidence"][flips]
        expected = flips[np.argsort(-surer, kind="stable")][:4]
        assert sorted(found.get((teacher, student), [])) == sorted(said["index"][expected].tolist())
    images = discovered.table("images").to_pylist()
    assert {row["index"] for row in images} == {index for rows in found.values() for index in rows}
    assert discovered.facts["images"]["missing"] == 0
    assert all(max(Image.open(BytesIO(row["jpeg"])).size) <= 64 for row in images)


def test_a_model_that_cannot_be_asked_is_a_row_with_the_reason(discovered: Discovery) -> None:
    rows = {row["model"]: row for row in discovered.table("models").to_pylist()}
    assert list(rows)[:3] == discovered.facts["models"] == ["test_vit-1", "test_convnext", "random test_vit"]
    assert all(rows[name]["reason"] is None and len(rows[name]["weights"]) == 64 for name in discovered.facts["models"])
    assert "broken.safetensors" in rows["test_vit-2"]["reason"]
    assert "3 classes, but the data has 10" in rows["test_vit-3"]["reason"]
    assert "not finite" in rows["test_vit-4"]["reason"]
    assert "the weights and the preprocessing of test_vit-1" in rows["test_vit-5"]["reason"]
    assert [rows[f"test_vit-{number}"]["acc"] for number in range(2, 6)] == [None] * 4
    assert [rows[name]["baseline"] for name in discovered.facts["models"]] == [False, False, True]
    assert {row["model"] for row in discovered.facts["failed"]} == {f"test_vit-{number}" for number in range(2, 6)}


def test_the_baseline_counts_in_no_finding(discovered: Discovery) -> None:
    facts = discovered.facts
    text = json.dumps([facts["best_pairs"], facts["coverage"], facts["expertise"]])
    assert facts["baseline"] == "random test_vit" and facts["baseline"] not in text
    assert not facts["named_classes"] and {"classifier weights", "confusions"} == set(facts["relatedness"])
    assert any("randomly initialised teacher" in sentence for sentence in facts["summary"])


@pytest.mark.usefixtures("empty_cache")
def test_one_more_model_costs_one_pass(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[str] = []
    answer = OutputStore._answer

    def noted(store: OutputStore, wanted: Any, batch: Any) -> torch.Tensor:
        asked.append(wanted.classifier.name)
        return answer(store, wanted, batch)

    assert command("task=discover", PAIR, "hydra.run.dir=first").code == 0
    monkeypatch.setattr(OutputStore, "_answer", noted)
    outcome = command("task=discover", "models=[test_vit,test_convnext,test_resnet]", "hydra.run.dir=second")
    assert outcome.code == 0 and set(asked) == {"test_resnet"}
    first, second = (read_discovery(tmp_path / name).table("pairs").to_pylist() for name in ("first", "second"))
    again = [row for row in second if "test_resnet" not in (row["teacher"], row["student"])]
    kept = [name for name in first[0] if name != "relatedness"]  # by similarities averaged over the models
    assert [[row[name] for name in kept] for row in again] == [[row[name] for name in kept] for row in first]
    last = next(line for line in outcome.out.splitlines() if line.startswith("next")).split(maxsplit=1)[1]
    assert command("--cfg", "job", *shlex.split(last)[2:]).code == 0


def test_the_same_discovery_says_the_same(command: Command, zoo: dict[str, Path], tmp_path: Path) -> None:
    resampled = ("task=discover", PAIR, "discovery.resamples=20")
    for name in ("one", "two"):
        assert command(*resampled, f"hydra.run.dir={name}").code == 0
    assert figures(tmp_path / "one") == figures(tmp_path / "two")
    facts = [read_discovery(tmp_path / name).facts for name in ("one", "two")]
    assert facts[0] == facts[1] and facts[0]["intervals"].startswith("20 resamples")
    shown = command(*resampled, "hydra.run.dir=one", "resume=true")
    assert shown.code == 0 and "test_vit" in shown.out
    assert all(len(line) <= 80 for line in shown.out.splitlines() if not line.startswith(("next", "folder")))


def test_without_labels_only_agreement_is_known(command: Command, zoo: dict[str, Path], tmp_path: Path) -> None:
    outcome = command("task=discover", PAIR, "discovery.labels=false", "hydra.run.dir=run")
    assert outcome.code == 0 and "only agreement is measured" in " ".join(outcome.out.split())
    discovery = read_discovery(tmp_path / "run")
    said = pq.read_table(tmp_path / "run" / "predictions.parquet").to_pydict()
    assert "label" not in said
    same = np.mean(np.array(said["test_vit"]) == np.array(said["test_convnext"]))
    for row in discovery.table("pairs").to_pylist():
        assert row["agreement"] == pytest.approx(100 * same)
        known = {"teacher", "student", "agreement", "class_drift"}
        assert all(value is None or value == [] for name, value in row.items() if name not in known)
    assert not discovery.facts["best_pairs"] and not len(discovery.table("classes"))
    assert all(row["acc"] is None for row in discovery.table("models").to_pylist())


@pytest.mark.usefixtures("empty_cache")
def test_models_of_the_zoo_on_held_out_images(command: Command, tmp_path: Path) -> None:
    held_out = ("data.holdout=0.2", "data.evaluate_on=holdout")
    first = command("task=discover", "models=[glob(test_v*t),test_convnext]", *held_out, "hydra.run.dir=first")
    assert first.code == 0, first.err
    discovery = read_discovery(tmp_path / "first")
    assert discovery.facts["evaluated_on"] == "holdout" and discovery.facts["num_eval"] == 72
    assert discovery.facts["models"] == ["test_vit", "test_convnext"]
    weights = {row["weights"] for row in discovery.table("models").to_pylist()}
    names = [entry.name for entry in Zoo().entries() if entry.record["recipe"]["data"]["holdout"] == 0.2]
    zoo = ",".join(f"zoo:{name}" for name in names if name.startswith(("test_vit-", "test_convnext-")))
    again = command("task=discover", f"models=[{zoo}]", "discovery.baseline=true", *held_out, "hydra.run.dir=again")
    assert again.code == 0, again.err
    *trained, random = read_discovery(tmp_path / "again").table("models").to_pylist()
    assert {row["weights"] for row in trained} == weights and random["baseline"] and random["reason"] is None


def test_the_users_similarities_come_first(command: Command, zoo: dict[str, Path], tmp_path: Path) -> None:
    np.save(tmp_path / "own.npy", np.random.default_rng(0).random((10, 4)))
    outcome = command("task=discover", PAIR, "discovery.similarity=own.npy", "hydra.run.dir=run")
    assert outcome.code == 0
    facts = read_discovery(tmp_path / "run").facts
    assert list(facts["relatedness"]) == ["own.npy", "classifier weights", "confusions"]
    top = facts["relatedness"]["own.npy"]["top"]["50"]
    assert top["band95"][0] < top["band95"][1] and top["ratio"] is not None and math.isfinite(top["standardised"])


def test_images_stay_where_they_are(command: Command, tmp_path: Path) -> None:
    assert command("task=discover", PAIR, "page.images=false", "hydra.run.dir=run").code == 0
    found = read_discovery(tmp_path / "run")
    assert found.table("examples").num_rows and not found.table("images").num_rows
    assert found.facts["images"]["count"] == found.facts["images"]["missing"] == 0


@pytest.mark.parametrize(
    ("typed", "parts"),
    [
        ("models=[]", ["give at least two", "models=["]),
        ("models=[test_vit]", ["give at least two"]),
        ("models=[glob(tast_*)]", ["glob(tast_*) matches no model", "Did you mean"]),
        ("models=glob(test_*)", ["is no list of models: write 'models=[glob(test_*)]'"]),
        ("models=test_vit", ["models=test_vit is no list of models"]),
        ("models=[test_vit,test_vit]", ["test_vit is given twice"]),
        ("models=[test_vitt,test_resnet]", ["no model called 'test_vitt'", "Did you mean test_vit"]),
        ("models=[zoo:nope,zoo:neither]", ["only 0 of 2 models can be asked", "no model nope"]),
        (f"{PAIR} discovery.similarity=nowhere.npy", ["discovery.similarity=nowhere.npy cannot be read"]),
        (f"{PAIR} discovery.chosen=0", ["discovery.chosen=0 must be a whole number, at least 1"]),
        (f"{PAIR} discovery.labels=maybe", ["discovery.labels=maybe must be true or false"]),
    ],
)
def test_refused(typed: str, parts: list[str], command: Command, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "results.json").write_text("{}")
    assert_refused(command("task=discover", *typed.split(" "), "hydra.run.dir=run"), *parts)
    assert (tmp_path / "run" / "results.json").read_text() == "{}"


def test_models_that_cannot_be_compared_are_named(command: Command, weights: dict[str, str]) -> None:
    outcome = command("task=discover", f"models=[test_vit,{weights['twin']},{weights['broken']}]")
    assert_refused(outcome, "only 1 of 3 models can be asked", "of test_vit-1", "broken.safetensors")
