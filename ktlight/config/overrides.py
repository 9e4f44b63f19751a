"""Checks the command-line overrides before Hydra runs, so that a wrong name gets one line and a suggestion."""

from collections.abc import Callable, Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, ValueType
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig
from omegaconf.errors import OmegaConfBaseException

from ktlight.config.checks import check_combinations, check_config
from ktlight.config.known import adds, check_choices, check_keys, choices, is_group, values
from ktlight.config.launcher import check_launcher, missing_package
from ktlight.config.location import config_directory
from ktlight.config.trust import check_composed, check_folders, check_secrets, search_folders
from ktlight.errors import UserError

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
    choices.cache_clear()  # folders may have changed
    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        parsed = [_parse(override) for override in overrides]
        check_folders([*config_directories, *search_folders(overrides)])
        groups = [override for override in parsed if is_group(override, search)]
        for override in groups:
            check_choices(override, search)
        for override in parsed:
            _check_sweep(override, override in groups)
        try:
            config = _compose(config_name, [*search, *map(_first, parsed)])
        except UserError:  # usually an unknown key, for which there is a better message
            check_keys(parsed, groups, _compose(config_name, [*search, *map(_first, groups)]))
            raise
        if any(map(adds, parsed)):
            check_keys(parsed, groups, _compose(config_name, [*search, *map(_first, groups)]))
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


def checked(options: Sequence[str], composed: Callable[[Sequence[str]], DictConfig]) -> DictConfig:
    """Return the config with options that a config gives its runs, after the checks of those that are typed.

    Args:
        options: The options.
        composed: Returns the config of a run with some of them.

    Raises:
        UserError: A choice or an option does not exist, or an option cannot have the value.
    """
    parsed = [_parse(option) for option in options]
    groups = [option for option in parsed if is_group(option, ())]
    for option in groups:
        check_choices(option, ())
    for option in parsed:
        _check_sweep(option, option in groups)
    try:
        config = composed(options)
    except (HydraException, OmegaConfBaseException) as error:
        check_keys(parsed, groups, composed([str(option.input_line) for option in groups]))
        raise UserError(f"{' '.join(options)}: {str(error).partition(chr(10))[0]}") from error
    check_config(config)
    return config


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
        if "Cannot merge DictConfig with ListConfig" in cause:
            cause = ": it takes a list, in [...]"
        lines = [line.strip().rstrip(".") for line in str(error).splitlines()]
        raise UserError(". ".join(line for line in lines if line and "object_type" not in line) + cause) from error


def _first(override: Override) -> str:
    """Return the override as the first job of a sweep has it."""
    if not override.is_sweep_override():
        return str(override.input_line)
    return f"{_key(override)}={next(values(override))}"


def _key(override: Override) -> str:
    """Return the part left of the equals sign."""
    return str(override.input_line).partition("=")[0]


def _check_sweep(override: Override, is_group: bool) -> None:
    """Raise `UserError` if an override has several values where it cannot have them."""
    key, line = override.key_or_group, override.input_line
    if override.is_sweep_override() and key.startswith("hydra."):
        raise UserError(f"{line}: Hydra's own options have one value for all jobs of a sweep")
    if override.value_type == ValueType.GLOB_CHOICE_SWEEP and not is_group:
        raise UserError(f"{line}: glob() chooses among the files of a config group, and {key} is none: list the values")
