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

VOLATILE = ("hydra", "resume", "logger", "page", "launcher")
"""Groups that change no figure; `lasting` handles single options."""


def lasting(config: DictConfig) -> str:
    """Return the resolved config as YAML, without options that may differ between a run and its continuation."""
    kept: Any = OmegaConf.to_container(
        OmegaConf.masked_copy(config, [str(key) for key in config if key not in VOLATILE]), resolve=True
    )
    del kept["trainer"]["progress"], kept["trainer"]["checkpoint_every_seconds"], kept["data"]["workers"]
    kept["store"] = {"top_k": kept["store"]["top_k"]}  # its other options change no figure
    return OmegaConf.to_yaml(kept)


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
