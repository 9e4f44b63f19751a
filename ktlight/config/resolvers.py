"""Resolvers for the config files: names of folders, and the lists shown by `--help`."""

import operator
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from ktlight.config.identity import run_id, sweep_id
from ktlight.config.launcher import bytes_of, gpus_of_node, gpus_of_task, jobs_at_a_time
from ktlight.config.location import BASE, config_directory
from ktlight.config.models import pattern_of
from ktlight.config.swept import pairs_id
from ktlight.models.names import ALIASES, file_name
from ktlight.models.spec import ZOO_PREFIX

MANY_NAMES = 3
"""Maximum number of names in the name of a folder."""

NO_GROUPS = ("hydra", "wandb")
"""Folders of configs that are no choices of a run: Hydra's own, and the sweeps that W&B reads."""


def register_resolvers() -> None:
    """Register the resolvers: ``${run_id:}``, ``${sweep_id:}`` and the others below."""
    OmegaConf.register_new_resolver("run_id", run_id, replace=True)
    OmegaConf.register_new_resolver("pairs_id", pairs_id, replace=True)
    OmegaConf.register_new_resolver("teacher_names", teacher_names, replace=True)
    OmegaConf.register_new_resolver("model_names", model_names, replace=True)
    OmegaConf.register_new_resolver("file_name", file_name, replace=True)
    OmegaConf.register_new_resolver("product", operator.mul, replace=True)
    OmegaConf.register_new_resolver("largest", largest, replace=True)
    OmegaConf.register_new_resolver("share_if", share_if, replace=True)
    OmegaConf.register_new_resolver("only_if", only_if, replace=True)
    for launched in (jobs_at_a_time, gpus_of_node, gpus_of_task, bytes_of):
        OmegaConf.register_new_resolver(launched.__name__, launched, replace=True)
    # Cached: the jobs of a sweep, in whatever process they run, must see the folder of the sweep that started them.
    OmegaConf.register_new_resolver("sweep_id", sweep_id, replace=True, use_cache=True)
    OmegaConf.register_new_resolver("config_groups", config_groups, replace=True)
    OmegaConf.register_new_resolver("model_aliases", lambda: ", ".join(ALIASES), replace=True)


def teacher_names(teacher: str, teachers: Any) -> str:
    """Return the teachers' names as used in folder names.

    More than three are replaced by their number, since file names are limited in length.
    """
    if not isinstance(teachers, ListConfig):  # an error that is told of later, with more to say
        return file_name(teacher)
    return _joined([_file_name(entry) for entry in teachers] or [file_name(teacher)], "teachers")


def model_names(models: Any) -> str:
    """Return the names of the list ``models`` as used in folder names, likewise."""
    return _joined([_file_name(entry) for entry in models] if isinstance(models, ListConfig) else [], "models")


def _joined(names: list[str], what: str) -> str:
    return "+".join(names) if len(names) <= MANY_NAMES else f"{len(names)}-{what}"


def _file_name(entry: Any) -> str:
    """Return the name of a model, or the pattern of several, without what is special in a path or to a shell."""
    pattern = pattern_of(entry)
    name = entry.get("name") if isinstance(entry, DictConfig) else entry
    if pattern is None:
        return file_name(str(name).removeprefix(ZOO_PREFIX))
    return re.sub(r"[^\w.+-]", "", "".join(pattern.include))


def largest(shares: Mapping[str, float]) -> float:
    """Return the largest share that any part of a run needs; 0 if none does."""
    return max(shares.values(), default=0.0)


def share_if(value: str, needs: str, share: float) -> float:
    """Return ``share`` if an option has the value that needs it, else 0."""
    return share if value == needs else 0.0


def only_if(value: str, needs: str, given: int) -> int | None:
    """Return ``given`` if an option has the value that calls for it, else None."""
    return given if value == needs else None


def config_groups() -> str:
    """Return one line per config group with its choices."""
    root = config_directory()
    lines = []
    for group in sorted(path for path in root.iterdir() if path.is_dir() and path.name not in NO_GROUPS):
        choices = sorted(
            str(Path(file).relative_to(group).with_suffix("")) for file in group.rglob("*.yaml") if file.stem != BASE
        )
        lines.append(f"{group.name}: {', '.join(choices)}")
    return "\n  ".join(lines)
