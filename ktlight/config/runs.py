"""The folders of runs that a config names."""

from typing import Any

from omegaconf import DictConfig, OmegaConf

from ktlight.errors import UserError


def listed_runs(config: DictConfig) -> list[str]:
    """Return the folders and patterns of the option ``runs``; none if it is empty.

    Raises:
        UserError: If it is neither text nor a list of it.
    """
    runs: Any = OmegaConf.to_container(config.runs) if OmegaConf.is_list(config.runs) else config.runs
    patterns = runs if isinstance(runs, list) else [] if runs is None else [runs]
    if not all(isinstance(pattern, str) and pattern for pattern in patterns):
        raise UserError(f"runs={runs} must be folders or patterns, as in 'runs=[runs/**,more]'")
    return patterns
