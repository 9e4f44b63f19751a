"""What the config files compute: short digests for folder names, and the lists that `--help` shows."""

import hashlib
import operator
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from ktlight.config.location import BASE, config_directory
from ktlight.models.names import ALIASES


def register_resolvers() -> None:
    """Register what the config files use: ``${digest:}``, ``${sweep_id:}`` and the others below."""
    OmegaConf.register_new_resolver("digest", digest, replace=True)
    OmegaConf.register_new_resolver("teacher_names", teacher_names, replace=True)
    OmegaConf.register_new_resolver("product", operator.mul, replace=True)
    OmegaConf.register_new_resolver("largest", largest, replace=True)
    OmegaConf.register_new_resolver("share_if", share_if, replace=True)
    # Cached: the jobs of a sweep, in whatever process they run, must see the folder of the sweep that started them.
    OmegaConf.register_new_resolver("sweep_id", sweep_id, replace=True, use_cache=True)
    OmegaConf.register_new_resolver("config_groups", config_groups, replace=True)
    OmegaConf.register_new_resolver("model_aliases", lambda: ", ".join(ALIASES), replace=True)


def digest(text: object) -> str:
    """Return eight hexadecimal digits that stand for ``text``; the same on every machine and rank."""
    return hashlib.sha256(str(text).encode()).hexdigest()[:8]


def teacher_names(teacher: str, teachers: Any) -> str:
    """Return the names of the list of teachers, else of the one teacher, as they stand in folder names."""
    if not isinstance(teachers, ListConfig):  # an error that is told of later, with more to say
        return teacher
    names = [entry.get("name") if isinstance(entry, DictConfig) else entry for entry in teachers]
    return "+".join(map(str, names)) or teacher


def largest(shares: Mapping[str, float]) -> float:
    """Return the largest of the shares that parts of a run need; 0 where none needs any."""
    return max(shares.values(), default=0.0)


def share_if(value: str, needs: str, share: float) -> float:
    """Return ``share`` where an option has the value that needs it, else 0."""
    return share if value == needs else 0.0


def sweep_id() -> str:
    """Return a digest of the command's overrides, whatever their order, but for ``resume`` and the flags."""
    overrides = [arg for arg in sys.argv[1:] if "=" in arg and not arg.startswith(("-", "resume=", "hydra."))]
    return digest(sorted(overrides))


def config_groups() -> str:
    """Return a line for each config group with its choices."""
    root = config_directory()
    lines = []
    for group in sorted(path for path in root.iterdir() if path.is_dir() and path.name != "hydra"):
        choices = sorted(
            str(Path(file).relative_to(group).with_suffix("")) for file in group.rglob("*.yaml") if file.stem != BASE
        )
        lines.append(f"{group.name}: {', '.join(choices)}")
    return "\n  ".join(lines)
