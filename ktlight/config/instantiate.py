"""Hydra's instantiate for parts that also take live objects."""

import inspect
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig

from ktlight.errors import UserError


def make(config: DictConfig, **objects: Any) -> Any:
    """Return what ``config._target_`` makes of the config's other keys and of ``objects``.

    The objects do not pass through Hydra, which would copy networks, and an error of the part comes out as raised.

    Raises:
        UserError: The config has a key that the part does not take, or lacks one that it needs.
    """
    part = instantiate(config, _partial_=True, _convert_="all")
    signature = inspect.signature(part.func)
    try:
        signature.bind(*part.args, **part.keywords, **objects)
    except TypeError as error:
        options = ", ".join(name for name in signature.parameters if name not in objects)
        raise UserError(f"{config._target_}: {error}. Its options are {options}.") from error
    return part(**objects)


def accepts(config: DictConfig, option: str) -> bool:
    """Return whether the part that ``config._target_`` names has an option of this name."""
    return option in inspect.signature(instantiate(config, _partial_=True).func).parameters
