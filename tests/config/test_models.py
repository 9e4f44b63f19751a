"""One syntax for every list of models: names, aliases, patterns, models of the zoo, mappings."""

from collections.abc import Callable, Iterator

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from ktlight.config.location import config_directory
from ktlight.config.model_source import register_models
from ktlight.config.models import listed_models
from ktlight.config.resolvers import register_resolvers
from ktlight.errors import UserError
from ktlight.models.names import architectures

EVERY_VIT = [name for name in architectures() if name.startswith("test_vit")]


@pytest.fixture(scope="module")
def composed() -> Iterator[Callable[..., DictConfig]]:
    register_models()
    register_resolvers()
    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        yield lambda *overrides: compose("config", ["task=discover", *overrides])


@pytest.mark.parametrize("option", ["models", "teachers"])
@pytest.mark.parametrize(
    ("entries", "names"),
    [
        ("test_resnet,vit_b", ["test_resnet", "vit_b"]),
        ("glob(test_vit*)", EVERY_VIT),
        ("'glob(test_vit*)'", EVERY_VIT),
        ("glob([test_vit*,test_mamba*],exclude=test_vit?*)", ["test_mambaout", "test_vit"]),
        ("glob(test_vit*),glob(test_v*)", EVERY_VIT),
        ("test_vit2,glob(test_vit*)", ["test_vit2", *(name for name in EVERY_VIT if name != "test_vit2")]),
        ("vit_b,glob(vit_base_patch16_224)", ["vit_b"]),
        ("zoo:mine,{name: zoo:yours, img_size: 64}", ["mine", "yours"]),
        ("{name: test_vit, checkpoint: a},{name: test_vit, checkpoint: b}", ["test_vit", "test_vit"]),
    ],
)
def test_names(option: str, entries: str, names: list[str], composed: Callable[..., DictConfig]) -> None:
    models = listed_models(composed(f"{option}=[{entries}]"), option)
    assert sorted(model.name for model in models) == sorted(names)
    if "glob(" not in entries:
        assert [model.name for model in models] == names


def test_a_model_of_the_zoo_is_known_by_its_name_there(composed: Callable[..., DictConfig]) -> None:
    (model,) = listed_models(composed("models=[{name: zoo:mine-1.2, img_size: 64}]"), "models")
    assert (model.name, model.architecture, model.checkpoint, model.img_size) == ("mine-1.2", "", "zoo:mine-1.2", 64)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ("zoo:a,zoo:a", "the model a is given twice"),
        ("vit_b,vit_base_patch16_224", "given twice"),
        ("glob(nothing_like_it*)", r"glob\(nothing_like_it\*\) matches no model"),
        ("{include: [test_vit]}", "neither a model name nor a mapping"),
        ("{name: zoo:mine, color: red}", "a model has no option 'color'"),
    ],
)
def test_refused(entries: str, message: str, composed: Callable[..., DictConfig]) -> None:
    with pytest.raises(UserError, match=message):
        listed_models(composed(f"models=[{entries}]"), "models")


def test_names_of_folders_hold_nothing_special(composed: Callable[..., DictConfig]) -> None:
    config = composed("models=[glob(test_v*),zoo:mine,{name: test_vit}]")
    assert config.task.label == "test_v+mine+test_vit-digits"
    assert composed("models=[a,b,c,d]").task.label == "4-models-digits"


def test_labels_are_those_of_the_run_unless_a_model_has_its_own(composed: Callable[..., DictConfig]) -> None:
    config = composed("labels=names", "student.labels=synset", "models=[test_vit,{name: test_resnet, labels: same}]")
    assert (config.student.labels, config.teacher.labels) == ("synset", "names")
    assert [model.labels for model in listed_models(config, "models")] == ["names", "same"]
    shared = composed("teacher.label_map=map.csv", "models=[test_vit,{name: test_resnet, label_map: null}]")
    assert [model.label_map for model in listed_models(shared, "models")] == ["map.csv", None]
