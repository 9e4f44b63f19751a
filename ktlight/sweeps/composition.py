"""Composes the configs of a sweep's jobs, reading the config files once for each choice of groups.

Composing takes Hydra 0.15 s, nearly all of it for reading files and merging them. Most jobs of a sweep choose the same
groups and differ in values and models, so the rest is done on a copy, by Hydra's own functions.
"""

import copy
import uuid
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from ktlight.config.literal import literal
from ktlight.config.model_source import MODEL_GROUPS, ModelSource
from ktlight.models.libraries.library import is_known, resolve

OF_THE_SWEEP = ("hydra.mode", "hydra.sweep.dir")
"""Options of Hydra's that every job is given by the sweep."""


class Split(NamedTuple):
    """The options of a job by what they need.

    Attributes:
        files: Those that choose config files.
        models: Names of the models of the groups ``student`` and ``teacher``, which are no files.
        values: Those that set a value.
    """

    files: tuple[str, ...]
    models: dict[str, str]
    values: tuple[str, ...]


_composed: dict[tuple[str, tuple[str, ...]], DictConfig] = {}
"""By sweep and choice of files; a process that runs several jobs of a sweep composes each once."""


class SweepLoader(ConfigLoaderImpl):
    """Hydra's loader of configs, for the jobs of one sweep.

    Args:
        loader: Hydra's own.
        master: The config of the sweep.
    """

    def __init__(self, loader: ConfigLoaderImpl, master: DictConfig) -> None:
        super().__init__(loader.config_search_path)
        self.sweep = uuid.uuid4().hex
        self.name = master.hydra.job.config_name
        overrides: Any = OmegaConf.to_container(master.hydra.overrides)  # as typed: nothing is resolved
        self.typed = [
            f"launcher={master.hydra.runtime.choices.launcher}",
            *(option for option in overrides["task"] if option.startswith("launcher.")),
            *(option for option in overrides["hydra"] if option.partition("=")[0] not in OF_THE_SWEEP),
            "hydra.mode=MULTIRUN",
            f"hydra.sweep.dir={literal(str(master.hydra.sweep.dir))}",
        ]
        self.groups: dict[str, bool] = {}
        self.own_models = any(
            source.is_group(group)
            for source in self.get_sources()
            if source.scheme() != ModelSource.scheme()
            for group in MODEL_GROUPS
        )

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """Return the config of a job, as Hydra's own loader would."""
        config = self.composed(sweep_overrides)
        OmegaConf.copy_cache(from_config=master_config, to_config=config)
        return config

    def composed(self, overrides: Sequence[str]) -> DictConfig:
        """Return the config with these options and those of Hydra's that were typed for the sweep."""
        typed = [*self.typed, *overrides]
        split = self.split(typed)
        config = copy.deepcopy(self.base(split))
        self.name_models(config, split.models)
        apply(config, split.values)
        parsed = [parse(option) for option in typed]
        of_the_run = [parse(option) for option in overrides if not parse(option).is_hydra_override()]
        named = config.hydra.job.config.override_dirname
        config.hydra.overrides.hydra = [each.input_line for each in parsed if each.is_hydra_override()]
        config.hydra.overrides.task = [each.input_line for each in of_the_run]
        config.hydra.job.override_dirname = get_overrides_dirname(
            overrides=of_the_run, kv_sep=named.kv_sep, item_sep=named.item_sep, exclude_keys=named.exclude_keys
        )
        return config

    def split(self, overrides: Sequence[str]) -> Split:
        """Return options by what they need."""
        files, models, values = [], {}, []
        for option in overrides:
            override = parse(option)
            key = override.key_or_group
            if key != "hydra.searchpath" and (isinstance(override.value(), dict) or not self._is_group(key)):
                values.append(option)
            elif self._is_model(override):
                models[key] = str(override.value())
            else:
                files.append(option)
        return Split(tuple(files), models, tuple(values))

    def base(self, split: Split) -> DictConfig:
        """Return the config of a choice of files; not to be changed."""
        chosen = split.files
        if any(parse(option).key_or_group in MODEL_GROUPS for option in chosen) and split.models:
            chosen = (*chosen, *(f"{group}={name}" for group, name in split.models.items()))
        key = (self.sweep, chosen)
        if key not in _composed:
            for old in [each for each in _composed if each[0] != self.sweep]:
                del _composed[old]
            _composed[key] = self.load_configuration(self.name, list(chosen), RunMode.RUN)
        return _composed[key]

    @staticmethod
    def name_models(config: DictConfig, models: dict[str, str]) -> None:
        """Set the names of models, all that distinguishes the configs of two of them."""
        for group, name in models.items():
            config[group].name, config[group].architecture = name, resolve(name)
            with open_dict(config.hydra.runtime):
                config.hydra.runtime.choices[group] = name

    def _is_group(self, key: str) -> bool:
        if key not in self.groups:
            self.groups[key] = bool(self.repository.group_exists(key))
        return self.groups[key]

    def _is_model(self, override: Override) -> bool:
        if self.own_models or override.key_or_group not in MODEL_GROUPS or override.package is not None:
            return False
        plain = not (override.is_delete() or override.is_add() or override.is_force_add())
        name = override.value()
        return plain and isinstance(name, str) and is_known(name)


@lru_cache(maxsize=100_000)
def parse(option: str) -> Override:
    """Return an option as Hydra reads it; most jobs of a sweep share most of theirs."""
    return OverridesParser.create().parse_overrides([option])[0]


def apply(config: DictConfig, values: Sequence[str]) -> None:
    """Set values in a config, as Hydra does."""
    ConfigLoaderImpl._apply_overrides_to_config([parse(value) for value in values], config)
