"""What a finished transfer leaves, recomputed from its own files with numpy."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import timm
import torch
from conftest import Command, figures
from scipy.stats import binomtest
from sklearn.datasets import load_digits

from ktlight.data.digits import load_digits as load_our_digits
from tests.publication.page.made import unpacked

RUNS = {
    "kl_dp": ["method=kl_dp", "trainer.max_epochs=2"],
    "xe_kl_mcl": ["method=xe_kl_mcl", "trainer.max_epochs=1"],
    "self_distill": ["method=self_distill", "trainer.max_epochs=1"],
    "kdcl": ["method=kdcl", "trainer.max_epochs=1"],
    "label_smoothing": ["method=label_smoothing", "trainer.max_epochs=1"],
}


@pytest.fixture(scope="module")
def folders(zoo: dict[str, Path], run_in: Callable[..., Path]) -> dict[str, Path]:
    return {name: run_in(name, *options) for name, options in RUNS.items()}


def results_of(folder: Path) -> dict[str, Any]:
    results: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return results


def columns_of(folder: Path) -> dict[str, np.ndarray]:
    table = pq.read_table(folder / "predictions.parquet")
    return {name: table[name].to_numpy() for name in table.column_names}


@pytest.mark.parametrize("name", RUNS)
def test_every_figure_follows_from_the_predictions(name: str, folders: dict[str, Path]) -> None:
    results, columns = results_of(folders[name]), columns_of(folders[name])
    label = columns["label"]
    before, teacher, after = (columns[model] == label for model in ("before", "teacher", "after"))
    total = len(label)
    gained, lost = (after & ~before).sum(), (before & ~after).sum()
    positive = teacher & ~before
    expected = {
        "num_eval": total,
        "acc_before": 100 * before.mean(),
        "acc_teacher": 100 * teacher.mean(),
        "acc_ensemble": 100 * (columns["ensemble"] == label).mean(),
        "acc_after": 100 * after.mean(),
        "transfer_delta": 100 * (gained - lost) / total,
        "knowledge_gain": 100 * gained / total,
        "knowledge_loss": 100 * lost / total,
        "complementary_knowledge": 100 * positive.mean(),
        "transfer_rate": 100 * (positive & after).sum() / positive.sum(),
        "mcnemar_p": binomtest(int(gained), int(gained + lost)).pvalue if gained + lost else 1.0,
    }
    for figure, value in expected.items():
        assert results[figure] == pytest.approx(value), figure
    assert results["transfer_delta"] == pytest.approx(results["knowledge_gain"] - results["knowledge_loss"])
    assert results["transfer_delta"] == pytest.approx(results["acc_after"] - results["acc_before"])
    share_gained, share_lost = (gained + 1) / (total + 2), (lost + 1) / (total + 2)
    centre = share_gained - share_lost
    margin = 1.959963984540054 * math.sqrt((share_gained + share_lost - centre**2) / (total + 2))
    assert results["transfer_delta_ci95"] == pytest.approx([100 * (centre - margin), 100 * (centre + margin)])
    shares = np.bincount(label[positive], minlength=10) / positive.sum()
    assert results["flip_entropy"] == pytest.approx(
        -sum(share * math.log(share) for share in shares if share), abs=1e-6
    )


@pytest.mark.parametrize("name", RUNS)
def test_results_say_whether_a_teacher_has_a_say(name: str, folders: dict[str, Path]) -> None:
    assert results_of(folders[name])["has_teacher"] == (name not in ("label_smoothing", "self_distill"))


@pytest.mark.parametrize("name", RUNS)
def test_the_share_of_the_teacher_is_the_mean_of_the_curve(name: str, folders: dict[str, Path]) -> None:
    curves = np.genfromtxt(folders[name] / "curves.csv", delimiter=",", names=True, deletechars="")
    recorded = results_of(folders[name])["teacher_share"]
    if name in ("kdcl", "label_smoothing"):
        assert recorded is None
    elif name == "self_distill":
        assert recorded == 0
    else:
        assert recorded == pytest.approx(np.mean(curves["share/teacher"])) and 0 < recorded < 100


def test_the_ensemble_is_the_more_confident_of_the_two(folders: dict[str, Path], zoo: dict[str, Path]) -> None:
    columns = columns_of(folders["kl_dp"])
    probabilities = [np.asarray(torch.from_numpy(logits_of(zoo[name])).double().softmax(1))
                     for name in ("test_vit", "test_convnext")]  # fmt: skip
    best = np.stack([p.max(1) for p in probabilities]).argmax(0)
    expected = np.stack([p.argmax(1) for p in probabilities])[best, np.arange(len(best))]
    np.testing.assert_array_equal(columns["ensemble"], expected)
    for column, number in (("before", 0), ("teacher", 1)):
        np.testing.assert_array_equal(columns[column], probabilities[number].argmax(1))


def logits_of(folder: Path) -> np.ndarray:
    """Return the logits of the held-out digits, with timm alone: no code of ours between the pixels and the network."""
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    config = timm.data.resolve_model_data_config(model)
    transform = timm.data.create_transform(**config, is_training=False)
    from torchvision.transforms.functional import to_pil_image

    table = load_our_digits().val
    images = torch.stack([transform(to_pil_image(table.image(row))) for row in range(len(table))])
    with torch.no_grad():
        return model(images).numpy()


def test_the_held_out_digits_are_those_of_scikit_learn() -> None:
    """The images that the tests above classify are scikit-learn's, none of them trained on."""
    ours = load_our_digits()
    labels = load_digits().target
    assert len(ours.val) + len(ours.train) == len(labels)  # type: ignore[arg-type]
    np.testing.assert_array_equal(
        np.bincount(ours.val.labels) + np.bincount(ours.train.labels),
        np.bincount(labels),  # type: ignore[union-attr]
    )


@pytest.mark.parametrize(
    ("name", "role", "column"),
    [
        ("kl_dp", "student", "after"),
        ("xe_kl_mcl", "student", "after"),
        ("kdcl", "student", "after"),
        ("kdcl", "teacher", "teacher_after"),
    ],
)
def test_the_exported_model_alone_gives_the_recorded_predictions(
    name: str, role: str, column: str, folders: dict[str, Path]
) -> None:
    logits = logits_of(folders[name] / role)
    np.testing.assert_array_equal(logits.argmax(1), columns_of(folders[name])[column])
    record = json.loads((folders[name] / role / "training_record.json").read_text())
    assert record["method"] == name and record["acc_after"] == results_of(folders[name])["acc_after"]


def test_both_networks_of_kdcl_learned(folders: dict[str, Path]) -> None:
    results, columns = results_of(folders["kdcl"]), columns_of(folders["kdcl"])
    moved = 100 * (
        (columns["teacher_after"] == columns["label"]).mean() - (columns["teacher"] == columns["label"]).mean()
    )
    assert results["teacher_transfer_delta"] == pytest.approx(moved)
    assert (columns["teacher_after"] != columns["teacher"]).any() and (columns["after"] != columns["before"]).any()


@pytest.mark.parametrize("rule", ["linear", "minlogit", "general"])
def test_each_rule_of_kdcl_runs_with_a_frozen_teacher(
    rule: str, zoo: dict[str, Path], command: Command, tmp_path: Path
) -> None:
    ended = command(
        "method=kdcl", f"method.rule={rule}", "method.update_teacher=false", "trainer.max_epochs=1", "hydra.run.dir=run"
    )
    assert ended.code == 0, ended.err
    results = results_of(tmp_path / "run")
    assert results["weights_after"] != results["weights_before"]
    assert not (tmp_path / "run" / "teacher").exists() and "teacher_transfer_delta" not in results
    assert results["num_train"] == (324 if rule == "general" else 360)


@pytest.mark.parametrize(
    "options",
    [
        ["method=hinton", "method.temperature=2"],
        ["method=xe_kl", "router=most_confident", "restraint=mcl"],
        ["method=kl_dp_unsup", "trainer.accumulate_grad_batches=2"],
        ["method=kl", "router=flip_avg", "optim=adamw", "optim.lr=1e-4", "optim.decay=cosine"],
    ],
)
def test_loss_router_and_restraint_are_separate_axes(
    options: list[str], zoo: dict[str, Path], command: Command, tmp_path: Path
) -> None:
    ended = command(*options, "trainer.max_epochs=1", "hydra.run.dir=run")
    assert ended.code == 0, ended.err
    results = results_of(tmp_path / "run")
    assert results["weights_after"] != results["weights_before"]
    assert f"method={results['method']}" in options


def test_the_same_config_and_seed_give_the_same_results(
    folders: dict[str, Path], command: Command, tmp_path: Path
) -> None:
    assert command(*RUNS["kl_dp"], "hydra.run.dir=again").code == 0
    assert figures(tmp_path / "again") == figures(folders["kl_dp"])
    assert command(*RUNS["kl_dp"], "hydra.run.dir=other", "seed=1").code == 0
    assert results_of(tmp_path / "other")["weights_after"] != results_of(folders["kl_dp"])["weights_after"]


@pytest.mark.parametrize("options", [["method=kdcl", "router=teacher"], ["method=kl", "router=none"]])
def test_a_router_that_does_not_suit_the_method_is_refused(
    options: list[str], zoo: dict[str, Path], command: Command, tmp_path: Path
) -> None:
    ended = command(*options, "hydra.run.dir=run")
    assert ended.code == 1 and "router=" in ended.err and "Traceback" not in ended.err
    assert not (tmp_path / "run" / "results.json").exists()


@pytest.mark.parametrize("images", [True, False])
def test_a_page_shows_images_only_where_it_may(
    images: bool, zoo: dict[str, Path], command: Command, tmp_path: Path
) -> None:
    ended = command("method=ensemble", f"page.images={str(images).lower()}", "hydra.run.dir=run")
    assert ended.code == 0, ended.err
    shown = unpacked((tmp_path / "run" / "report.html").read_text(), "pair-map")
    assert bool(shown["images"]) is images
    assert "page" not in (tmp_path / "run" / "config.yaml").read_text()  # it changes no figure
