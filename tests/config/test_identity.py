"""The same run comes to the same folder, however it was typed."""

from collections.abc import Iterator

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from ktlight.config.identity import sweep_id
from ktlight.config.location import config_directory
from ktlight.config.model_source import register_models
from ktlight.config.resolvers import register_resolvers, teacher_names


@pytest.fixture(autouse=True)
def _hydra() -> Iterator[None]:
    register_models()
    register_resolvers()
    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        yield
    GlobalHydra.instance().clear()


def folder(*overrides: str, part: str = "run.dir") -> str:
    hydra = compose("config", list(overrides), return_hydra_config=True).hydra
    return str(hydra.run.dir if part == "run.dir" else hydra.sweep.subdir)


@pytest.mark.parametrize(
    "typed",
    [
        ["method=kl_dp"],
        ["data=digits", "seed=0", "method=kl_dp"],
        ["method=kl_dp", "data=digits", "trainer=auto"],
        ["resume=true", "logger=wandb", "trainer.progress=false", "data.workers=3", "store=off"],
        ["labels=auto", "teacher.labels=auto"],
    ],
)
def test_what_changes_no_result_changes_no_folder(typed: list[str]) -> None:
    assert folder(*typed) == folder() and folder(*typed, part="sweep") == folder(part="sweep")


@pytest.mark.parametrize(
    "typed",
    [
        ["seed=1"],
        ["optim.lr=0.5"],
        ["data.views=3"],
        ["store.top_k=3"],
        ["student.img_size=16"],
        ["labels=names"],
        ["teacher.labels=same"],
        ["teacher.label_map=map.csv"],
    ],
)
def test_what_may_change_a_result_changes_the_folder(typed: list[str]) -> None:
    assert folder(*typed) != folder()


def test_the_order_of_options_means_nothing() -> None:
    options = ["optim.lr=0.5", "seed=3", "trainer.max_epochs=2"]
    assert folder(*options) == folder(*reversed(options))


def test_many_teachers_are_a_number() -> None:
    names = [f"vit_{number}_patch16_224.augreg_in21k_ft_in1k" for number in range(14)]
    assert teacher_names("vit_b", OmegaConf.create(names)) == "14-teachers"
    assert teacher_names("vit_b", OmegaConf.create([names[0], {"name": "resnet50"}])) == f"{names[0]}+resnet50"
    assert teacher_names("vit_b", OmegaConf.create([])) == "vit_b"
    many = [f"{{name: resnet18, kwargs: {{number: {number}}}}}" for number in range(30)]
    assert "30-teachers-to-test_vit" in folder(f"teachers=[{','.join(many)}]")


def test_a_sweep_is_known_by_what_it_varies() -> None:
    base = sweep_id("a", ["method=kl,kl_dp", "seed=0,1"], {})
    globs = [sweep_id("a", [f"teacher=glob({pattern})"], {}) for pattern in ("test_conv*", "test_*")]
    assert globs[0] != globs[1]
    assert sweep_id("a", ["seed=1,0", "method=kl_dp,kl"], {}) == base
    assert sweep_id("a", ["seed=0,1", "resume=true", "logger=wandb"], {"params": {"method": "kl,kl_dp"}}) == base
    for other in (["method=kl,kl_dp"], ["method=kl,kl_dp", "seed=0,2"], ["method=kl,kl_dp", "seed=range(0,2)"]):
        assert sweep_id("a", other, {}) != base
    assert sweep_id("b", ["method=kl,kl_dp", "seed=0,1"], {}) != base
