from timm.models._registry import _module_to_models

from ktlight.models.kinds import _KIND_OF, _MODULES, KINDS, kind


def test_every_module_of_timm_has_one_kind() -> None:
    assert set(_module_to_models) <= set(_KIND_OF)
    assert sum(len(modules.split()) for modules in _MODULES.values()) == len(_KIND_OF)


def test_the_kinds_of_well_known_modules() -> None:
    known = {"deit": "transformer", "swin_transformer": "transformer", "convnext": "cnn", "mlp_mixer": "mlp"}
    assert {family: kind(family) for family in known} == known
    assert kind("of_my_own") == "other" and set(known.values()) < set(KINDS)
