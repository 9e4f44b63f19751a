"""What an override may name: the choices of a group, and the options that there are, with the nearest if it is none."""

from collections.abc import Iterator, Sequence
from functools import cache

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from ktlight.config.location import BASE
from ktlight.config.model_source import MODEL_GROUPS, model_choices
from ktlight.errors import UserError, nearest
from ktlight.models.libraries.library import library_of, resolve


def is_group(override: Override, search: tuple[str, ...]) -> bool:
    """Return whether an override chooses among the files of a group."""
    # `experiment=...` and its like; `~group` removes one, and `group@package` is left to Hydra
    named = choices(override.key_or_group, search)
    return bool(named) and override.package is None and not override.is_delete()


def check_choices(override: Override, search: tuple[str, ...]) -> None:
    """Raise `UserError` if an override names a choice that its group does not have; the message says the nearest."""
    group = override.key_or_group
    known = [*choices(group, search), *(model_choices() if group in MODEL_GROUPS else _nested_choices(group))]
    for value in values(override):
        value = value.strip("'\"").replace("\\:", ":")  # as Hydra writes a colon
        if group == "teacher" and value.startswith("["):  # Hydra would keep the last one
            raise UserError(f"several teachers are a list of values: 'teachers={value}'")
        bare = value.partition(".")[0] if group in MODEL_GROUPS else value  # a model name may carry a timm tag
        if group in MODEL_GROUPS and library_of(value).prefix:  # whose library says best what is wrong with it
            resolve(value)
            continue
        several = value[1:-1].split(",") if value.startswith("[") else []  # which Hydra merges
        if bare in known or value.startswith("glob(") or (several and set(several) <= set(known)):
            continue
        kind = "model" if group in MODEL_GROUPS else group
        listing = "" if group in MODEL_GROUPS else f" There are: {', '.join(known)}."
        raise UserError(f"unknown {kind} '{value}' in {group}={value}.{nearest(value, known)}{listing}")


@cache
def choices(group: str, search: tuple[str, ...]) -> list[str]:
    """Return the choices of a group, including those in further config folders."""
    loader = GlobalHydra.instance().config_loader()
    options = loader.get_group_options(group, overrides=list(search))
    return [option for option in options if option != BASE]


def _nested_choices(group: str) -> list[str]:
    """Return the choices in the folders of a group, such as paper/kl of ``experiment``."""
    loader = GlobalHydra.instance().config_loader()
    found: list[str] = []
    for folder in loader.list_groups(group):
        inner = f"{group}/{folder}"
        found += [f"{folder}/{choice}" for choice in (*loader.get_group_options(inner), *_nested_choices(inner))]
    return found


def values(override: Override) -> Iterator[str]:
    """Yield the values of an override, one unless it is of a sweep."""
    if override.is_sweep_override():
        yield from (str(value) for value in override.sweep_string_iterator())
    else:
        yield override.get_value_element_as_str()


def adds(override: Override) -> bool:
    """Return whether an override adds an option."""
    return bool(override.is_add() or override.is_force_add())


def check_keys(overrides: Sequence[Override], groups: Sequence[Override], config: DictConfig) -> None:
    """Raise `UserError` for the first override of a key missing from a config without overrides."""
    for override in overrides:
        if override not in groups and override.package is None and not override.key_or_group.startswith("hydra."):
            _check_key(override, config)


def _check_key(override: Override, config: DictConfig) -> None:
    key = override.key_or_group
    parent, _, leaf = key.rpartition(".")
    node = OmegaConf.select(config, parent) if parent else config
    if isinstance(node, DictConfig) and (leaf in node or (parent and not OmegaConf.is_struct(node))):
        return
    if adds(override) and isinstance(node, DictConfig) and (not node or "_target_" in node):
        return  # to a mapping of anything, as student.kwargs, or to a part, which checks its options itself
    if isinstance(node, DictConfig) and not node:
        raise UserError(f"{parent} has no '{leaf}' yet: write +{override.input_line} to add it")
    groups = GlobalHydra.instance().config_loader().list_groups("")
    hint = nearest(key, [*_keys(config), *(group for group in groups if group != "hydra")])
    raise UserError(f"unknown option '{key}'.{hint or ' `python run.py --cfg job` prints every option.'}")


def _keys(config: DictConfig, prefix: str = "") -> Iterator[str]:
    for key in map(str, config):
        yield f"{prefix}{key}"
        child = config._get_node(key)
        if isinstance(child, DictConfig) and not child._is_none():
            yield from _keys(child, f"{prefix}{key}.")
