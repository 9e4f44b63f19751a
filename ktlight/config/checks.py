"""Checks of a composed config's values before anything is loaded or written; does not need torch."""

from collections.abc import Sequence

from hydra.core.override_parser.types import Override
from omegaconf import Container, DictConfig, OmegaConf
from omegaconf.errors import InterpolationToMissingValueError, OmegaConfBaseException

from ktlight.config.limits import check_options
from ktlight.config.models import listed_models, listed_teachers
from ktlight.config.swept import check_lists, is_of_pairs
from ktlight.errors import UserError

FOLDERS = ("hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir")
UNTRAINED = ("router", "restraint", "optim", "recipe")
"""The groups that only affect training."""


def check_config(config: DictConfig) -> None:
    """Check the values of a composed config, one job's.

    Raises:
        UserError: If a reference cannot be resolved, an option has an invalid value, or a list cannot be read.
    """
    check_references(config)
    check_options(config)
    if is_of_pairs(config):
        check_lists(config)
        return
    teachers = listed_teachers(config)
    if "models" in config:
        listed_models(config, "models")
    if teachers and config.teacher.checkpoint is not None:
        raise UserError(
            f"teacher.checkpoint says nothing of the {len(teachers)} models in teachers=[...]: "
            "give each its own there, {name: ..., checkpoint: ...}"
        )


def check_references(config: DictConfig) -> None:
    """Raise `UserError` if a value cannot be resolved, such as ``${nope}``, or is missing.

    Of Hydra's own config only the folders are checked; they may use values known only to the running job.
    """
    own = (key for key in map(str, config) if key != "hydra")
    for key in (*own, *(FOLDERS if "hydra" in config else ())):
        try:
            value = OmegaConf.select(config, key)
            if isinstance(value, Container):
                OmegaConf.to_container(value, resolve=True, throw_on_missing=True)
        except OmegaConfBaseException as error:
            if key in FOLDERS and isinstance(error, InterpolationToMissingValueError):
                continue
            reason = str(error).partition("\n")[0].rstrip(".")
            raise UserError(f"{getattr(error, 'full_key', None) or key}: {reason}") from error


def check_combinations(config: DictConfig, overrides: Sequence[Override]) -> None:
    """Check that no override is made meaningless by another option.

    Args:
        config: The config of the run, or of the first job of a sweep.
        overrides: The overrides as typed.

    Raises:
        UserError: If one is.
    """
    typed = [override.key_or_group for override in overrides]
    if config.teachers and "teacher" in typed:
        raise UserError("give teacher=... or teachers=[...], not both")
    swept = any(override.key_or_group == "method" and override.is_sweep_override() for override in overrides)
    if config.method._target_ is None and not swept:  # in a sweep, the option may be for the other methods
        for key in (key for key in typed if key.partition(".")[0] in UNTRAINED):
            raise UserError(f"method={config.method.name} trains nothing, so {key} has no meaning: leave it out")
