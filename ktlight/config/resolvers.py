"""What the config files compute: short digests for folder names, and the lists that `--help` shows."""

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from ktlight.config.location import config_directory
from ktlight.models.names import ALIASES


def register_resolvers() -> None:
    """Register what the config files use: ``${digest:}``, ``${sweep_id:}`` and the others below."""
    OmegaConf.register_new_resolver("digest", digest, replace=True)
    OmegaConf.register_new_resolver("teacher_names", teacher_names, replace=True)
    OmegaConf.register_new_resolver("steps_for", steps_for, replace=True)
    OmegaConf.register_new_resolver("held_out_for", held_out_for, replace=True)
    # Cached: the jobs of a sweep, in whatever process they run, must see the folder of the sweep that started them.
    OmegaConf.register_new_resolver("sweep_id", sweep_id, replace=True, use_cache=True)
    OmegaConf.register_new_resolver("config_groups", config_groups, replace=True)
    OmegaConf.register_new_resolver("model_aliases", lambda: ", ".join(ALIASES), replace=True)


def digest(text: object) -> str:
    """Return eight hexadecimal digits that stand for ``text``; the same on every machine and rank."""
    return hashlib.sha256(str(text).encode()).hexdigest()[:8]


def teacher_names(teacher: str, teachers: Sequence[Any]) -> str:
    """Return the names of the list of teachers, else of the one teacher, as they stand in folder names."""
    return "+".join(str(entry if isinstance(entry, str) else entry["name"]) for entry in teachers) or teacher


def steps_for(samples: int, batch: int) -> int:
    """Return how many optimiser steps of ``batch`` samples take ``samples``; at least one."""
    return max(1, round(samples / batch))


def held_out_for(rule: str, guard: str) -> float:
    """Return the share of the training images that a target rule of KDCL, or a guard, needs kept apart."""
    return 0.1 if rule == "general" or guard != "off" else 0.0


def sweep_id() -> str:
    """Return a digest of the command's overrides, whatever their order, but for ``resume`` and the flags."""
    overrides = [arg for arg in sys.argv[1:] if "=" in arg and not arg.startswith(("-", "resume=", "hydra."))]
    return digest(sorted(overrides))


def config_groups() -> str:
    """Return a line for each config group with its choices."""
    root = config_directory()
    lines = []
    for group in sorted(path for path in root.iterdir() if path.is_dir() and path.name != "hydra"):
        choices = sorted(str(Path(file).relative_to(group).with_suffix("")) for file in group.rglob("*.yaml"))
        lines.append(f"{group.name}: {', '.join(choices)}")
    return "\n  ".join(lines)
