from typing import Any

import pytest

from ktlight.config.arguments import config_of_call, name_networks
from ktlight.errors import UserError

NOTHING: dict[str, Any] = {"method": "kl_dp", "lr": None, "epochs": None, "seed": None, "resume": None}


def test_arguments_are_options() -> None:
    config = config_of_call(None, ["resnet18"], {**NOTHING, "lr": 1e-5, "epochs": 7, "seed": 3, "resume": True}, [])
    assert (config.optim.lr, config.trainer.max_epochs, config.seed, config.resume) == (1e-5, 7, 3, True)
    assert config.teacher.name == "resnet18" and config.data.name == "python" and "hydra" not in config


def test_what_is_not_given_is_the_recipe_s() -> None:
    config = config_of_call(None, [None], NOTHING, ["data.holdout=0.2"])
    assert config.trainer.max_epochs is None and config.optim.lr == config.recipe.lr.adamw
    assert config.data.holdout == 0.2 and config.resume is False


def test_networks_have_their_own_names_in_the_config() -> None:
    """Not those of the models that a run has by default, which would stand in config.yaml and in W&B."""
    config = config_of_call(None, [None, "resnet18"], NOTHING, [])
    name_networks(config, "Mine", ["Yours", "resnet18"])
    assert (config.student.name, config.student.architecture, config.teacher.name) == ("Mine", "Mine", "Yours+resnet18")
    assert config.task.label == "kl_dp-Yours+resnet18-to-Mine-python-seed0"


@pytest.mark.parametrize(
    ("arguments", "overrides", "says"),
    [
        ({"lr": 0.1}, ["optim.lr=0.2"], "optim.lr=0.2: give it as the argument lr alone"),
        ({"epochs": 2}, ["trainer.max_epochs=3"], "the argument epochs alone"),
        ({}, ["method=kl"], "the argument method alone"),
        ({"resume": True}, ["resume=false"], "the argument resume alone"),
        ({}, ["student=resnet18"], "the argument student alone"),
        ({}, ["teachers=[resnet18,resnet34]"], "the argument teacher alone"),
        ({}, ["data=cifar10"], "the argument train_data and val_data alone"),
        ({}, ["hydra.run.dir=here"], "the argument folder alone"),
        ({}, ["task=pretrain"], "other tasks are for the command line"),
        ({}, ["seed=1,2"], "loop over the values"),
        ({}, ["student.checkpoint=weights.pt"], "a network of your own is taken as it is"),
        ({}, ["teacher.img_size=64"], "a network of your own is taken as it is"),
        ({}, "optim=sgd", r"write overrides=\['optim=sgd'\]"),
        ({}, ["optim.rl=0.1"], "unknown option 'optim.rl'.*optim.lr"),
        ({}, ["optim.optimizer._target_=torch.optim.Sgd"], "torch.optim.SGD"),
        ({"epochs": 0}, [], "trainer.max_epochs=0 must be a whole number, at least 1"),
        ({"lr": "fast"}, [], "optim.lr=fast must be a number"),
    ],
)
def test_what_cannot_be_said_is_refused(arguments: dict[str, Any], overrides: Any, says: str) -> None:
    with pytest.raises(UserError, match=says):
        config_of_call(None, [None], {**NOTHING, **arguments}, overrides)


def test_options_of_models_given_by_name_are_taken() -> None:
    config = config_of_call("resnet18", [None, "resnet34"], NOTHING, ["student.img_size=64", "teacher.img_size=32"])
    assert (config.student.img_size, config.teacher.img_size) == (64, 32)
