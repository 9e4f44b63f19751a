"""experiment=paper sets what the paper's table of settings says, compat=official what its public code does."""

from collections.abc import Iterator
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from ktlight.config.instantiate import make
from ktlight.config.location import config_directory
from ktlight.config.model_source import register_models
from ktlight.config.resolvers import register_resolvers
from ktlight.stages.stage import build_method, restraint
from ktlight.training.assemble import optimization
from ktlight.training.length import recipe_epochs
from tests import tiny

PAPER = ("kl", "hinton", "xe_kl", "kl_mcl", "xe_kl_mcl", "kl_dp", "kl_dp_unsup", "self_distill", "cd", "crd")
DISTILLATION = ("kl", "hinton", "xe_kl", "kl_mcl", "xe_kl_mcl", "kl_dp", "kl_dp_unsup", "self_distill")


@pytest.fixture(scope="module", autouse=True)
def _hydra() -> Iterator[None]:
    register_models()
    register_resolvers()
    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        yield


def built(*overrides: str) -> Any:
    return build_method(compose("config", list(overrides)), [tiny.classifier(0), tiny.classifier(1)])


@pytest.mark.parametrize("method", PAPER)
@pytest.mark.parametrize(("batch", "accumulate"), [(256, 1), (128, 1), (64, 2)])
def test_the_table_of_settings(method: str, batch: int, accumulate: int) -> None:
    sizes = [f"data.batch_size={batch}", f"trainer.accumulate_grad_batches={accumulate}"]
    config = compose("config", ["experiment=paper", f"method={method}", *sizes])
    assert config.method.name == method
    assert (config.data.load.repository, config.data.fraction) == ("ILSVRC/imagenet-1k", 0.1)
    assert (config.data.augment.kind, config.data.augment.flip) == ("resized_crop", True)
    assert recipe_epochs(1, config.recipe.epochs, config.recipe.steps, config.recipe.max_steps) == 20
    assert config.trainer.max_epochs is None and config.trainer.channels_last
    routers = {"kl_dp": (True, None), "kl_dp_unsup": (False, None), "self_distill": (None, 0)}
    if method != "xe_kl_mcl":
        assert (config.router.get("use_labels"), config.router.get("source")) == routers.get(method, (None, 1))
    restrained = "mcl" in method
    assert optimization(config.optim, tiny.classifier()).scaled_lr(batch) == pytest.approx(
        (1e-2 if restrained else 1e-4) * batch / 256
    )
    optimizer = make(config.optim.optimizer, params=tiny.classifier().parameters(), lr=0.1)
    assert (optimizer.defaults["momentum"], optimizer.defaults["weight_decay"]) == (0.9, 1e-4)
    assert config.optim.decay == "constant" and config.optim.warmup_epochs == 0
    assert (config.restraint._target_ is not None) == restrained
    if restrained:
        (callback,) = restraint(config)
        assert (callback.tau, callback.every) == (0.9999, 512 / (batch * accumulate))  # type: ignore[attr-defined]
    if method in DISTILLATION:
        mixing = {"xe_kl": 0.5, "xe_kl_mcl": 0.68}.get(method, 1.0)
        assert (config.method.temperature, config.method.mixing) == (1.0, mixing)
    if method == "cd":
        assert (config.method.beta, config.method.alpha, config.method.gamma) == (10, 0, 0.1)
    if method == "crd":
        weights = (config.method.beta, config.method.alpha, config.method.gamma, config.method.temperature)
        assert weights == (0.8, 0, 1, 4)
        contrast = (config.method.dimensions, config.method.negatives, config.method.contrast_temperature)
        assert contrast == (128, 4096, 0.07) and config.method.momentum == 0.5


@pytest.mark.parametrize("method", DISTILLATION)
def test_the_quirks_are_off_unless_asked_for(method: str) -> None:
    usual, official = (built(f"method={method}", *compat) for compat in ([], ["compat=official"]))
    assert (usual.top_classes, usual.double_softmax) == (None, False)
    assert (official.top_classes, official.double_softmax) == (100 if "mcl" in method else 1000, True)


def test_slow_weights_average_statistics_in_the_public_code() -> None:
    for compat, averaged in ((["compat=official"], True), ([], False)):
        (callback,) = restraint(compose("config", ["method=kl_mcl", *compat]))
        assert callback.average_buffers == averaged  # type: ignore[attr-defined]


def test_the_teaching_side_of_bikd_is_not_detached_in_the_public_code() -> None:
    assert built("method=bikd").detach and not built("method=bikd", "compat=official").detach
