"""vkd: its loss one sample after the other, and columns that stay orthonormal while they learn."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from torch import Tensor

from ktlight.errors import UserError
from ktlight.functional.projections import orthonormal_columns
from ktlight.methods.orthogonal import OrthonormalProjection, VkD
from ktlight.models.classifier import Classifier
from ktlight.routing.fixed import Fixed
from tests.methods.features import featured, networks, resumed_and_whole, train


def vkd(models: list[Classifier], **options: Any) -> VkD:
    weights = {"beta": 1.0, "alpha": 1.0, "gamma": 0.0, "temperature": 1.0, "double_softmax": False}
    return VkD(models, tiny.optimization(lr=0.05), name="vkd", **{**weights, **options})


def projection(head: torch.nn.Module) -> Tensor:
    return orthonormal_columns(head.free_ED.detach())  # type: ignore[operator, union-attr]


@torch.no_grad()
def test_the_loss_equals_a_loop() -> None:
    models, learner = networks(), vkd(networks(), alpha=0.0, beta=3.0)
    learner.optimization = tiny.optimization(lr=0.0)
    with torch.enable_grad():
        _, record = train(learner, models, limit_train_batches=1)
    batch, total = record.batches[0], 0.0
    own = models[0].network.body(models[0].preprocess(batch["image"]))
    for row, source in enumerate(batch["source"].tolist()):
        target = batch["features"][source][row]
        target = (target - target.mean()) / (target.var(correction=0) + 1e-5).sqrt()
        gaps = (projection(learner.heads[source]) @ own[row] - target).abs().tolist()
        total += 3.0 * sum(gap - 0.5 if gap > 1 else gap**2 / 2 for gap in gaps) / len(gaps)
    assert set(batch["source"].tolist()) == {0, 1}
    assert float(batch["loss"]) == pytest.approx(total / len(batch["source"]), rel=1e-4)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("width", [8, 16])
def test_columns_stay_orthonormal(width: int, precision: str) -> None:
    """Also under an optimiser that shrinks weights, which breaks other ways to keep a matrix orthonormal."""
    models = [featured(0, 8), featured(1, width)]
    method = vkd(models)
    method.optimization = tiny.optimization(partial(torch.optim.AdamW, weight_decay=0.1), lr=0.05)
    train(method, [model.frozen_copy() for model in models], max_epochs=5, precision=precision)
    fresh = vkd(models)
    train(fresh, models, limit_train_batches=0)
    for head, start in zip(method.heads, fresh.heads, strict=True):
        matrix_ED = projection(head)
        torch.testing.assert_close(matrix_ED.T @ matrix_ED, torch.eye(8), rtol=0, atol=1e-5)
        assert (matrix_ED - projection(start)).abs().max() > 0.1  # it has learned


def test_inner_products_of_the_students_features_are_kept() -> None:
    features_BD, head = torch.randn(5, 4), OrthonormalProjection(4, 9)
    with torch.autocast("cpu", torch.bfloat16):
        mapped_BE = head(features_BD)
    assert mapped_BE.dtype == torch.float32
    torch.testing.assert_close(mapped_BE @ mapped_BE.T, features_BD @ features_BD.T, rtol=1e-4, atol=1e-5)


def test_a_student_with_more_features_than_the_teacher_is_refused() -> None:
    wide, narrow = featured(0, 12), featured(1, 8)
    with pytest.raises(UserError, match=r"maps the 12 features of featured0 to the 8 of featured1 .* method=fitnet"):
        vkd([wide, narrow])
    vkd([narrow, wide])
    vkd([narrow, narrow])


def test_features_come_close() -> None:
    _, record = train(vkd(networks(), alpha=0.0), networks(), Fixed(1), max_epochs=30)
    losses = [float(batch["loss"]) for batch in record.batches]
    assert sum(losses[-6:]) < 0.75 * sum(losses[:6])


def test_a_resumed_run_is_the_undisturbed_one(tmp_path: Path) -> None:
    resumed, whole = resumed_and_whole(vkd, tmp_path)
    assert "heads.1.free_ED" in whole
    for name, value in whole.items():
        assert torch.equal(resumed[name], value), name
