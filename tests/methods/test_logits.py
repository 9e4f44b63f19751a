"""What every method has in common whose loss is on logits."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import tiny
import torch
from hydra.utils import get_class
from omegaconf import OmegaConf

from ktlight.config.location import config_directory
from ktlight.methods.correlation import DIST
from ktlight.methods.distillation import Distillation
from ktlight.methods.logits import LogitMethod
from tests.methods.routed import COUNT, loss_of, routed_batch, student_logits


def rows() -> Iterator[Any]:
    """Yield the part and the options of every config of a method of this kind."""
    for file in sorted((config_directory() / "method").glob("*.yaml")):
        config: Any = OmegaConf.load(file)
        if config.get("_target_") and issubclass(get_class(config._target_), LogitMethod):
            plain = [key for key in config if not OmegaConf.is_interpolation(config, key)]
            options = {key: config[key] for key in plain if key not in ("defaults", "_target_")}
            yield pytest.param((get_class(config._target_), options), id=file.stem)


@pytest.fixture(params=rows())
def row(request: pytest.FixtureRequest) -> Callable[..., LogitMethod]:
    """Make a method with the options of its config, except that the labels count."""
    part, options = request.param
    both = {"mixing": 0.6} if "mixing" in options else {}

    def make(**changed: Any) -> LogitMethod:
        networks = [tiny.classifier(0), tiny.classifier(1)]
        return part(networks, tiny.optimization(), **{**options, **both, **changed})

    return make


def test_the_student_learns_alone_from_routed_targets(row: Callable[..., LogitMethod]) -> None:
    method = row()
    assert len(method.networks) == method.learners == 1
    assert method.routed and not method.needs_features and not method.has_peers


def test_samples_left_out_have_no_part_in_the_loss(row: Callable[..., LogitMethod]) -> None:
    method, batch, logits_BC = row(), routed_batch((1, 4)), student_logits()
    loss, gradient_BC = loss_of(method, batch, logits_BC)
    assert (gradient_BC[[1, 4]] == 0).all() and (gradient_BC[[0, 2, 3, 5]] != 0).any(1).all()
    logits_BC[1, 0], batch["target"][4, 0] = 1e4, -1e4
    torch.testing.assert_close(loss_of(method, batch, logits_BC), (loss, gradient_BC))


def test_what_a_sample_pulls_does_not_depend_on_the_others(row: Callable[..., LogitMethod]) -> None:
    method = row(gamma=0.0) if isinstance(row(), DIST) else row()  # columns relate the samples
    _, whole_BC = loss_of(method, routed_batch())
    _, partly_BC = loss_of(method, routed_batch((0, 3)))
    torch.testing.assert_close(partly_BC[[1, 2, 4, 5]], whole_BC[[1, 2, 4, 5]])


def test_a_batch_with_nobody_left_has_a_loss_of_zero(row: Callable[..., LogitMethod]) -> None:
    loss, gradient_BC = loss_of(row(), routed_batch(range(COUNT)))
    assert float(loss) == 0 and (gradient_BC == 0).all()


@pytest.mark.parametrize("left_out", [(), range(1, COUNT)])
def test_one_sample_has_a_finite_loss(row: Callable[..., LogitMethod], left_out: range) -> None:
    batch = routed_batch(left_out)
    batch = batch if len(left_out) else {key: value[:1] for key, value in batch.items() if key != "view"}
    loss, gradient_BC = loss_of(row(), batch, student_logits()[: len(batch["label"])])
    assert loss.isfinite() and gradient_BC.isfinite().all() and (gradient_BC[0] != 0).any()


def test_without_weight_the_labels_are_not_looked_at(row: Callable[..., LogitMethod]) -> None:
    weight: Any = {"mixing": 1.0} if isinstance(row(), Distillation) else {"label_weight": 0.0}
    assert row(**weight).terms([student_logits()], routed_batch()).keys() == {"soft"}


def test_standardised_losses_do_not_see_the_scale_of_either_side(row: Callable[..., LogitMethod]) -> None:
    method, batch, logits_BC = row(standardize_logits=True), routed_batch(), student_logits()
    expected = method.terms([logits_BC], batch)["soft"]
    scaled = method.terms([3 * logits_BC + 2], {**batch, "target": 0.5 * batch["target"] - 7})["soft"]
    torch.testing.assert_close(scaled, expected, rtol=1e-4, atol=1e-6)
    assert float(row().terms([logits_BC], batch)["soft"]) != pytest.approx(float(expected), rel=0.01)


def test_logits_far_below_the_others_give_finite_losses(row: Callable[..., LogitMethod]) -> None:
    batch, logits_BC = routed_batch(), student_logits()
    batch["target"][:, 0] = -1e4  # as of a class that the teacher never speaks for
    logits_BC[0] = 0.0
    for standardize_logits in (False, True):
        loss, gradient_BC = loss_of(row(standardize_logits=standardize_logits), batch, logits_BC)
        assert loss.isfinite() and gradient_BC.isfinite().all()


def test_the_weights_of_samples_count(row: Callable[..., LogitMethod]) -> None:
    batch = routed_batch()
    terms = row().terms([student_logits()], {**batch, "weight": torch.full((COUNT,), 2.0)})
    once = row().terms([student_logits()], batch)
    torch.testing.assert_close(terms["label"], 2 * once["label"])
    if not isinstance(row(), DIST):
        torch.testing.assert_close(terms["soft"], 2 * once["soft"])
