import subprocess
import sys

import pytest
import timm

from ktlight.errors import UserError
from ktlight.models.libraries.library import is_known, resolve
from ktlight.models.names import ALIASES, architectures


def test_architectures_are_those_of_timm():
    assert set(architectures()) == set(timm.list_models())


def test_every_alias_is_a_real_architecture_and_hides_none():
    assert set(ALIASES.values()) <= set(timm.list_models())
    assert not set(ALIASES) & set(timm.list_models())


@pytest.mark.parametrize(
    ("name", "architecture"),
    [
        ("vit_b", "vit_base_patch16_224"),
        ("vit_b.augreg_in21k_ft_in1k", "vit_base_patch16_224.augreg_in21k_ft_in1k"),
        ("resnet50", "resnet50"),
        ("resnet50.a1_in1k", "resnet50.a1_in1k"),
        ("test_vit", "test_vit"),
    ],
)
def test_names_resolve(name, architecture):
    assert is_known(name)
    assert resolve(name) == architecture


@pytest.mark.parametrize(
    ("wrong", "meant"), [("vit_bb", "vit_b"), ("resnet_50", "resnet50"), ("covnext_t", "convnext_t")]
)
def test_an_unknown_name_suggests_the_nearest(wrong, meant):
    assert not is_known(wrong)
    with pytest.raises(UserError, match=rf"{wrong}.*Did you mean .*\b{meant}\b"):
        resolve(wrong)


def test_names_are_known_without_heavy_imports():
    code = (
        "import sys, ktlight.models.spec, ktlight.models.libraries.library as names; names.resolve('vit_b'); "
        "print([name for name in ('torch', 'timm', 'torchvision', 'transformers', 'numpy') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
