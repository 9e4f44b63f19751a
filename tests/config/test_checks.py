"""What is typed and cannot work: one line that says what to do, before anything is loaded or written."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from ktlight.cli import _check
from ktlight.config.location import config_directory
from ktlight.config.model_source import register_models
from ktlight.config.resolvers import register_resolvers
from ktlight.errors import UserError
from tests.conftest import REPOSITORY


@pytest.fixture(scope="module", autouse=True)
def _registered() -> None:
    register_models()
    register_resolvers()


@pytest.mark.parametrize(
    ("typed", "parts"),
    [
        ("teachers=null", ["teachers=null is no list of models", "'teachers=[resnet50,vit_s]'"]),
        ('teachers="[test_vit,test_resnet]"', ["teachers=[test_vit,test_resnet] is no list of models"]),
        ("teachers=[null]", ["teachers: None is neither a model name nor a mapping"]),
        ("teachers=[{name:test_vit,img_size:abc}]", ["teachers: test_vit: Value 'abc'"]),
        ("teachers=[test_vit] teacher=test_resnet", ["teacher=... or teachers=[...], not both"]),
        ("teachers=[test_vit] teacher.checkpoint=/nowhere", ["teacher.checkpoint", "give each its own"]),
        ("student.img_size=${nope}", ["student.img_size: Interpolation key 'nope' not found"]),
        ("task.label=${nope:1}", ["task.label: Unsupported interpolation type nope"]),
        ("data.name=${data.name}", ["data.name: Recursive interpolation"]),
        ("hydra.run.dir=${nope}", ["hydra.run.dir: Interpolation key 'nope' not found"]),
        ("method=ensemble router=soft", ["method=ensemble trains nothing, so router has no meaning"]),
        ("method=ensemble restraint=mcl", ["method=ensemble trains nothing, so restraint has no meaning"]),
        ("method=ensemble optim.lr=1", ["method=ensemble trains nothing, so optim.lr has no meaning"]),
        ("data=base", ["unknown data 'base'", "There are: cifar10"]),
        ("recipe=papr", ["unknown recipe 'papr'", "Did you mean paper?"]),
        ("recipe.steps=-1", ["recipe.steps=-1 must be a whole number, at least 0"]),
        ("+seeed=1", ["unknown option 'seeed'", "Did you mean seed"]),
        ("++trainer.max_epoch=1", ["unknown option 'trainer.max_epoch'", "Did you mean trainer.max_epochs"]),
        (
            "optim.optimizer._target_=torch.optim.Sgd",
            ["torch.optim.Sgd does not exist", "mean torch.optim.SGD"],
        ),
        ("optim.optimizer._target_=timm.optim.lion", ["timm.optim.lion does not exist", "timm.optim.Lion"]),
        (
            "optim.optimizer._target_=torch.optimm.SGD",
            ["torch.optimm.SGD", "mean torch.optim?"],
        ),
        ("optim.optimizer._target_=sgd", ["must be the whole name of a class or function"]),
        ("optim.optimizer=null", ["optim.optimizer must be a mapping"]),
        ("+optim.optimizer.lr=1", ["optim.optimizer.lr is no option"]),
        ("router._target_=ktlight.routing.confidence.Margn", ["does not exist", "ktlight.routing.confidence.Margin"]),
        ("router._target_=torch.optim.SGD", ["torch.optim.SGD is no RoutingRule"]),
        ("+router.foo=1", ["MostConfident", "'foo'", "Its options are use_labels"]),
        ("+data.augment.foo=1", ["Augment", "'foo'", "Its options are kind, padding, flip, scale, ratio"]),
        ("data.augment.kind=pad_krop", ["data.augment.kind=pad_krop must be none or pad_crop or resized_crop"]),
        ("data.augment.padding=2", ["data.augment.padding=2 must be a number, at least 0 and at most 1"]),
        ("data.augment.scale=[0.5,0.2]", ["data.augment.scale must be two shares of the area"]),
        ("data.augment.scale=abc", ["data.augment.scale must be two shares of the area"]),
        ("data.load._target_=null", ["data.load._target_", "must be the whole name"]),
        ("method.temperature=0", ["method.temperature=0 must be a number, above 0"]),
        ("method.mixing=1.5", ["method.mixing=1.5 must be a number, at least 0 and at most 1"]),
        ("method.soft_loss=foo", ["method.soft_loss=foo must be kl or cross_entropy"]),
        ("method=kdcl method.rule=best", ["method.rule=best must be naive or linear or minlogit or general"]),
        ("method=crd method.dimensions=0", ["method.dimensions=0 must be a whole number, at least 1"]),
        ("method=cd method.beta=-1", ["method.beta=-1 must be a number, at least 0"]),
        ("method=kl method.standardize_logits=2", ["method.standardize_logits=2 must be true or false"]),
        ("method=dkd method.beta=-1", ["method.beta=-1 must be a number, at least 0"]),
        ("method=dkd method.warmup_epochs=0", ["method.warmup_epochs=0 must be a whole number, at least 1"]),
        ("method=dist method.temperature=0", ["method.temperature=0 must be a number, above 0"]),
        ("method=dist method.gamma=-0.5", ["method.gamma=-0.5 must be a number, at least 0"]),
        ("method=wttm method.exponent=0", ["method.exponent=0 must be a number, above 0 and at most 1"]),
        ("method=wttm method.exponent=1.5", ["method.exponent=1.5 must be a number, above 0 and at most 1"]),
        ("method=ofa method.exponent=0.5", ["method.exponent=0.5 must be a number, at least 1"]),
        ("method=ofa method.label_weight=-1", ["method.label_weight=-1 must be a number, at least 0"]),
        ("method=label_smoothing method.smoothing=1.5", ["method.smoothing=1.5 must be a number, at least 0 and at"]),
        ("method=dml method.own_views=3", ["method.own_views=3 must be true or false"]),
        ("router=soft router.temperature=0", ["router.temperature=0 must be a number, above 0"]),
        ("router=random router.share=1.5", ["router.share=1.5 must be a number, at least 0 and at most 1"]),
        ("restraint=mcl restraint.tau=2", ["restraint.tau=2 must be a number, at least 0 and at most 1"]),
        ("restraint=mcl restraint.samples=0", ["restraint.samples=0 must be a whole number, at least 1"]),
    ],
)
def test_refused(typed: str, parts: list[str]) -> None:
    with pytest.raises(UserError) as error:
        _check(typed.split())
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert part in message, message


@pytest.mark.parametrize(
    "typed",
    [
        "data.augment.kind=resized_crop data.augment.scale=[0.5,1]",
        "-m method=kl,ensemble optim.lr=0.1",  # the rate is for the other method
        "teachers=[test_vit,test_resnet] teacher.img_size=32 schedule=soup",
        "optim.optimizer._target_=timm.optim.Lion",
        "+optim.optimizer.betas=[0.9,0.99]",
        "++trainer.max_epochs=1",
        "+student.kwargs.depth=3",
        "-m seed=0,1 hydra.sweep.dir=runs/${hydra.job.num}",
        "optim=adamw restraint=mcl",
        "experiment=paper method=kl_mcl recipe=cifar",
    ],
)
def test_accepted(typed: str) -> None:
    _check(typed.split())


@pytest.mark.parametrize(
    "typed", ["teachers=null", "student.img_size=${nope}", "recipe.epochs=0", "optim.lr=abc", "+foo=1"]
)
def test_what_needs_no_part_needs_no_torch(typed: str) -> None:
    code = (
        "import sys; from ktlight.cli import main; sys.argv = ['run.py', sys.argv[1]]\n"
        "try: main()\n"
        "except SystemExit as stop: assert str(stop).startswith('error: '), stop\n"
        "assert 'torch' not in sys.modules and 'lightning' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, typed], cwd=REPOSITORY, check=True)


# ---------------------------------------------------------------- what a config says when nothing is wrong


@pytest.fixture(scope="module")
def composed() -> Iterator[Callable[..., DictConfig]]:
    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        yield lambda *overrides: compose("config", list(overrides))


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_restraint_scales_the_rate_of_the_chosen_optimizer(
    optimizer: str, composed: Callable[..., DictConfig]
) -> None:
    free, restrained = (composed(f"optim={optimizer}", f"method={method}") for method in ("kl", "kl_mcl"))
    scale = restrained.recipe.mcl.lr_scale[optimizer]
    assert restrained.optim.lr == pytest.approx(scale * free.recipe.lr[optimizer])
    assert restrained.optim.lr <= 0.1 if optimizer == "sgd" else restrained.optim.lr <= 0.01
    assert composed("optim=adamw", "method=kl_mcl", "optim.lr=0.5").optim.lr == 0.5


def test_the_recipe_is_the_datas_and_the_users_word_is_final(composed: Callable[..., DictConfig]) -> None:
    assert composed("data=imagenet").recipe == composed("recipe=paper").recipe == composed("experiment=paper").recipe
    assert composed("experiment=paper", "recipe=digits").recipe == composed("data=digits").recipe
    assert "SGD" in composed("recipe=paper").optim.optimizer._target_
    assert "AdamW" in composed("recipe=paper", "optim=adamw").optim.optimizer._target_


def test_pretraining_does_not_follow_the_recipe_of_the_transfer(composed: Callable[..., DictConfig]) -> None:
    """Or else the models in the zoo would depend on what is later done with them."""
    usual, paper = composed("method=kl"), composed("experiment=paper", "method=kl_mcl", "data=digits", "optim.lr=1")
    assert usual.pretrain == paper.pretrain


NEEDS = {
    "guard=wise": 0.1,
    "guard=rollback": 0.1,
    "router=calibrated": 0.1,
    "router=classwise": 0.1,
    "router=pooled": 0.1,
    "router=margin": 0.0,
    "router=margin router.calibrate=true": 0.1,
    "method=kl_dp_unsup router.expertise=true": 0.1,
    "method=kdcl": 0.0,
    "method=kdcl method.rule=general": 0.1,
    "schedule=soup": 0.0,
    "schedule=soup schedule.average=greedy": 0.1,
    "method=kl": 0.0,
}


@pytest.mark.parametrize(("options", "needed"), NEEDS.items())
def test_held_out_images_are_the_datas(
    options: str, needed: float, composed: Callable[..., DictConfig], tmp_path: Path
) -> None:
    """What a part needs holds where nobody said anything; whoever says something is never overruled."""
    assert composed(*options.split()).data.holdout == needed
    assert composed(*options.split(), "data.holdout=0.25").data.holdout == 0.25
    own = ["defaults: [digits, _self_]", "holdout: 0.25"]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.yaml").write_text("\n".join(own))
    search = f"hydra.searchpath=[file://{tmp_path}]"
    assert composed(search, "data=mine", *options.split()).data.holdout == 0.25
