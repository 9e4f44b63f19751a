"""Checks the command-line overrides before Hydra runs, so that a wrong name gets one line and a suggestion."""

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, ValueType
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ktlight.config.checks import check_combinations, check_config
from ktlight.config.launcher import check_launcher, missing_package
from ktlight.config.location import BASE, config_directory
from ktlight.config.model_source import MODEL_GROUPS, model_choices
from ktlight.config.trust import check_composed, check_folders, check_secrets, search_folders
from ktlight.errors import UserError, nearest
from ktlight.models.libraries.library import library_of, resolve

LISTS = ("students", "teachers", "models")
"""Options that take a list of models."""
LONGEST = 200
"""Letters of an option's name; Hydra would look for a file of that name."""


def check_overrides(
    overrides: Sequence[str],
    config_directories: Sequence[str] = (),
    config_name: str = "config",
    multirun: bool = False,
) -> DictConfig:
    """Check every override against the config tree.

    Args:
        overrides: Arguments as typed, such as ``method=kl,kl_dp``.
        config_directories: Further folders with configs, as given by ``--config-dir``.
        config_name: Name of the primary config.
        multirun: Whether a sweep is asked for, with ``-m``; a config may also ask for one itself.

    Returns:
        The config of the run, or of the first job of a sweep, including Hydra's own.

    Raises:
        UserError: If an override cannot be parsed, names an unknown group choice or key, or has an invalid value, or
            if the launcher cannot start the jobs.
    """
    check_secrets(overrides)
    for folder in config_directories:
        if not Path(folder).is_dir():
            raise UserError(f"there is no folder {folder}, which --config-dir names")
    folders = ",".join(f"file://{path}" for path in config_directories)
    search = (f"hydra.searchpath=[{folders}]",) if folders else ()
    _choices.cache_clear()  # folders may have changed
    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        parsed = [_parse(override) for override in overrides]
        check_folders([*config_directories, *search_folders(overrides)])
        groups = [override for override in parsed if _is_group(override, search)]
        for override in groups:
            _check_choices(override, search)
        for override in parsed:
            _check_sweep(override, override in groups)
        try:
            config = _compose(config_name, [*search, *map(_first, parsed)])
        except UserError:  # usually an unknown key, for which there is a better message
            _check_keys(parsed, groups, _compose(config_name, [*search, *map(_first, groups)]))
            raise
        if any(map(_adds, parsed)):
            _check_keys(parsed, groups, _compose(config_name, [*search, *map(_first, groups)]))
    if not isinstance(config.hydra.verbose, bool | str | ListConfig):  # Hydra itself asserts it
        raise UserError(f"hydra.verbose={config.hydra.verbose} must be true, false, or names of loggers: [ktlight]")
    check_config(config)
    check_composed(config)
    check_combinations(config, parsed)
    is_sweep = multirun or config.hydra.mode == RunMode.MULTIRUN
    check_launcher(config, parsed, is_sweep)
    return config


def check_several(overrides: Sequence[str], is_sweep: bool) -> None:
    """Raise `UserError` if an override, known to be readable, has several values, which only a sweep can have."""
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        if override.is_sweep_override() and not is_sweep:
            raise UserError(f"several values, as in {override.input_line}, make a sweep: put -m before the options")


def _parse(override: str) -> Override:
    parser = OverridesParser.create(GlobalHydra.instance().config_loader())
    try:
        parsed = parser.parse_overrides([override])[0]
    except HydraException as error:
        raise UserError(
            f"cannot read '{_in_a_line(override)}' ({_reason(override, str(error))}): write option=value, and quotes "
            "around a value that holds spaces, brackets, commas or letters beyond a to z, as in 'option=\"a, b\"'"
        ) from error
    if len(parsed.key_or_group) > LONGEST:
        raise UserError(f"unknown option '{parsed.key_or_group[:40]}...', of {len(parsed.key_or_group)} letters")
    if parsed.is_delete() and not parsed.key_or_group.startswith("hydra"):
        raise UserError(f"{override}: an option cannot be taken away, only given another value")
    if parsed.key_or_group in LISTS and parsed.value_type == ValueType.GLOB_CHOICE_SWEEP:
        raise UserError(f"{override} is no list of models: write '{override.replace('=', '=[', 1)}]'")
    return parsed


def _reason(override: str, message: str) -> str:
    """Return why Hydra cannot read an override: in words, or the character that its mark points to."""
    *lines, last = [line for line in message.splitlines() if not line.startswith("See ")]
    if last.strip() != "^":
        return last
    position = last.index("^") - len(lines[0].partition(": ")[0]) - len(": ")
    return f"at {override[position : position + 1]!r}"


def _in_a_line(text: str) -> str:
    return " ".join(text.splitlines())


def _compose(config_name: str, overrides: list[str]) -> DictConfig:
    try:
        return compose(config_name, overrides, return_hydra_config=True)
    except (HydraException, OmegaConfBaseException) as error:
        if missing := missing_package(str(error)):
            raise UserError(missing) from error
        cause = f": {error.__cause__}".partition("\n")[0] if error.__cause__ else ""
        lines = [line.strip().rstrip(".") for line in str(error).splitlines()]
        raise UserError(". ".join(line for line in lines if line and "object_type" not in line) + cause) from error


def _first(override: Override) -> str:
    """Return the override as the first job of a sweep has it."""
    if not override.is_sweep_override():
        return str(override.input_line)
    return f"{_key(override)}={next(_values(override))}"


def _is_group(override: Override, search: tuple[str, ...]) -> bool:
    # `experiment=...` and its like; `~group` removes one, and `group@package` is left to Hydra
    named = _choices(override.key_or_group, search)
    return bool(named) and override.package is None and not override.is_delete()


def _key(override: Override) -> str:
    """Return the part left of the equals sign."""
    return str(override.input_line).partition("=")[0]


def _values(override: Override) -> Iterator[str]:
    if override.is_sweep_override():
        yield from (str(value) for value in override.sweep_string_iterator())
    else:
        yield override.get_value_element_as_str()


def _check_sweep(override: Override, is_group: bool) -> None:
    """Raise `UserError` if an override has several values where it cannot have them."""
    key, line = override.key_or_group, override.input_line
    if override.is_sweep_override() and key.startswith("hydra."):
        raise UserError(f"{line}: Hydra's own options have one value for all jobs of a sweep")
    if override.value_type == ValueType.GLOB_CHOICE_SWEEP and not is_group:
        raise UserError(f"{line}: glob() chooses among the files of a config group, and {key} is none: list the values")


def _check_choices(override: Override, search: tuple[str, ...]) -> None:
    group = override.key_or_group
    known = [*_choices(group, search), *(model_choices() if group in MODEL_GROUPS else _nested_choices(group))]
    for value in _values(override):
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
def _choices(group: str, search: tuple[str, ...]) -> list[str]:
    """Return the choices of a group, including those in further config folders."""
    loader = GlobalHydra.instance().config_loader()
    options = loader.get_group_options(group, config_name="config", overrides=list(search))
    return [option for option in options if option != BASE]


def _nested_choices(group: str) -> list[str]:
    """Return the choices in the folders of a group, such as paper/kl of ``experiment``."""
    loader = GlobalHydra.instance().config_loader()
    choices: list[str] = []
    for folder in loader.list_groups(group):
        inner = f"{group}/{folder}"
        choices += [f"{folder}/{choice}" for choice in (*loader.get_group_options(inner), *_nested_choices(inner))]
    return choices


def _adds(override: Override) -> bool:
    return bool(override.is_add() or override.is_force_add())


def _check_keys(overrides: Sequence[Override], groups: Sequence[Override], config: DictConfig) -> None:
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
    if _adds(override) and isinstance(node, DictConfig) and (not node or "_target_" in node):
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
