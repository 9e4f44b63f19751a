"""The identity of a run: its resolved config, without options that change no result.

However the options are typed (in any order, with or without defaults), the same run gets the same folder, in every
process and on every machine.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, ValueType
from omegaconf import DictConfig, OmegaConf

VOLATILE = ("hydra", "resume", "logger", "page", "launcher", "sweep", "dry_run")
"""Groups that change no figure; `LEFT_OUT` and `KEPT` name single options."""
LEFT_OUT = {"trainer": ("progress", "checkpoint_every_seconds"), "data": ("workers", "holdout_for")}
"""Options that change no figure, in groups that do; what ``data.holdout_for`` comes to, ``data.holdout`` says."""
KEPT = {"store": ("top_k",)}
"""Of these groups, the only options that change a figure."""

_written: dict[str, str] = {}


def lasting(config: DictConfig) -> str:
    """Return the resolved config as YAML, without options that may differ between a run and its continuation."""
    return "".join(lasting_part(config, key) for key in map(str, config) if key not in VOLATILE)


def lasting_part(config: DictConfig, key: str) -> str:
    """Return the part of `lasting` that says one top-level key."""
    return written(key, resolved(config, key))


def resolved(config: DictConfig, key: str) -> Any:
    """Return the value of a top-level key as plain data, without options that change no figure."""
    node = config[key]
    value: Any = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
    if key in LEFT_OUT:
        return {name: each for name, each in value.items() if name not in LEFT_OUT[key]}
    return {name: value[name] for name in KEPT[key]} if key in KEPT else value


def written(key: str, value: Any) -> str:
    """Return a top-level key as YAML.

    It is remembered, since writing a group takes longer than resolving it and the jobs of a sweep share most groups.
    """
    said = repr((key, value))
    if said not in _written:
        _written[said] = OmegaConf.to_yaml({key: value})
    return _written[said]


def digest(text: object) -> str:
    """Return an eight-digit hexadecimal hash of ``text``, the same on every machine and rank."""
    return hashlib.sha256(str(text).encode()).hexdigest()[:8]


def run_id(*, _root_: DictConfig) -> str:
    """Return the digest of the config that the folder of a run ends in (``${run_id:}``)."""
    return digest(lasting(_root_))


def sweep_id(shared: str, overrides: Sequence[str], sweeper: Mapping[str, Any]) -> str:
    """Return the digest that the folder of a sweep ends in (``${sweep_id:}``), whatever the order of its options.

    Args:
        shared: The `run_id` of the config that the jobs vary.
        overrides: All overrides as typed.
        sweeper: The config of Hydra's sweeper, which may add options.
    """
    options = [*(f"{key}={value}" for key, value in (sweeper.get("params") or {}).items()), *overrides]
    parser = OverridesParser.create()
    last = {override.key_or_group: override for override in parser.parse_overrides(options)}
    swept = {key: override for key, override in last.items() if override.is_sweep_override() and key not in VOLATILE}
    return digest([shared, *sorted(f"{key}={_values(override)}" for key, override in swept.items())])


def _values(override: Override) -> object:
    # a glob is known by its pattern: what fits it, only Hydra's loader could tell
    listed = override.is_choice_sweep() and override.value_type != ValueType.GLOB_CHOICE_SWEEP
    return sorted(override.sweep_string_iterator()) if listed else override.input_line
