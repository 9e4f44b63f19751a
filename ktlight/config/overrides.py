"""Checks what was typed on the command line before Hydra runs, so that a wrong name gets one line and a suggestion."""

from collections.abc import Iterator, Sequence

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ktlight.config.location import config_directory
from ktlight.config.model_source import MODEL_GROUPS, model_choices
from ktlight.errors import UserError, nearest


def check_overrides(overrides: Sequence[str], config_directories: Sequence[str] = ()) -> None:
    """Check every override against the config tree.

    Args:
        overrides: Arguments as typed, such as ``method=kl,kl_dp``.
        config_directories: Further folders with configs, as given by ``--config-dir``.

    Raises:
        UserError: An override cannot be parsed, or names a group choice or a key that does not exist.
    """
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise UserError(str(error)) from error
    search = [f"hydra.searchpath=[{','.join(f'file://{path}' for path in config_directories)}]"]
    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        groups = [override for override in parsed if _is_group(override)]
        for override in groups:
            _check_choices(override)
        choices = [f"{_key(override)}={next(_values(override))}" for override in groups]
        try:
            config = compose("config", [*search * bool(config_directories), *choices])
        except (HydraException, OmegaConfBaseException) as error:
            raise UserError(str(error)) from error
        for override in parsed:
            if override not in groups:
                _check_key(override, config)


def _is_group(override: Override) -> bool:
    # `experiment=...` and its like; `~group` removes one, and `group@package` is left to Hydra
    loader = GlobalHydra.instance().config_loader()
    return (
        bool(loader.get_group_options(override.key_or_group)) and override.package is None and not override.is_delete()
    )


def _key(override: Override) -> str:
    """Return what stands left of the equals sign."""
    return str(override.input_line).partition("=")[0]


def _values(override: Override) -> Iterator[str]:
    if override.is_sweep_override():
        yield from (str(value) for value in override.sweep_string_iterator())
    else:
        yield override.get_value_element_as_str()


def _check_choices(override: Override) -> None:
    group = override.key_or_group
    known = model_choices() if group in MODEL_GROUPS else _group_choices(group)
    for value in _values(override):
        value = value.strip("'\"")
        bare = value.partition(".")[0] if group in MODEL_GROUPS else value  # a model name may carry a timm tag
        if bare in known or value == "null" or value.startswith(("[", "glob(")):
            continue
        kind = "model" if group in MODEL_GROUPS else group
        listing = "" if group in MODEL_GROUPS else f" There are: {', '.join(known)}."
        raise UserError(f"unknown {kind} '{value}' in {group}={value}.{nearest(value, known)}{listing}")


def _group_choices(group: str) -> list[str]:
    """Return the choices of a group, those in its folders (experiment=paper/kl) included."""
    loader = GlobalHydra.instance().config_loader()
    folders = loader.list_groups(group)
    return [
        *loader.get_group_options(group),
        *(f"{folder}/{choice}" for folder in folders for choice in _group_choices(f"{group}/{folder}")),
    ]


def _check_key(override: Override, config: DictConfig) -> None:
    key = override.key_or_group
    if override.is_add() or override.is_force_add() or key.startswith("hydra.") or override.package is not None:
        return
    parent, _, leaf = key.rpartition(".")
    node = OmegaConf.select(config, parent) if parent else config
    if isinstance(node, DictConfig) and (leaf in node or not OmegaConf.is_struct(node)):
        return
    groups = GlobalHydra.instance().config_loader().list_groups("")
    hint = nearest(key, [*_keys(config), *(group for group in groups if group != "hydra")])
    raise UserError(f"unknown option '{key}'.{hint or ' `python run.py --cfg job` prints every option.'}")


def _keys(config: DictConfig, prefix: str = "") -> Iterator[str]:
    for key in map(str, config):
        yield f"{prefix}{key}"
        child = config._get_node(key)
        if isinstance(child, DictConfig) and not child._is_none():
            yield from _keys(child, f"{prefix}{key}.")
