"""The command line: check what was typed, let Hydra compose it, and run the task it names."""

import sys
from pathlib import Path
from typing import Any

import hydra
from hydra.errors import CompactHydraException
from omegaconf import DictConfig

from ktlight.config.location import config_directory
from ktlight.config.model_source import register_models
from ktlight.config.overrides import check_overrides
from ktlight.config.resolvers import register_resolvers
from ktlight.errors import UserError


def main() -> None:
    """Run ``ktlight``; the same as ``python run.py``."""
    register_models()
    register_resolvers()
    try:
        check_overrides(*_typed(sys.argv[1:]))
    except UserError as error:
        sys.exit(f"error: {error}")
    hydra.main(version_base="1.3", config_path=str(config_directory()), config_name="config")(run)()


def run(config: DictConfig) -> Any:
    """Run the task of one composed config and return its results (the job that Hydra calls)."""
    from ktlight.tasks import run_task

    try:
        return run_task(config)
    except UserError as error:
        # Hydra prints an exception of this kind without a traceback and exits with status 1.
        raise CompactHydraException(f"error: {error}") from None


def _typed(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Split the arguments into overrides and the folders given by ``--config-dir``."""
    overrides: list[str] = []
    folders: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if argument in ("--config-dir", "-cd"):
            folders.append(str(Path(next(rest, "")).absolute()))
        elif argument.startswith("--config-dir="):
            folders.append(str(Path(argument.partition("=")[2]).absolute()))
        elif not argument.startswith("-") and ("=" in argument or argument.startswith("~")):
            overrides.append(argument)
    return overrides, folders
