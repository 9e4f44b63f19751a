"""Hydra's instantiate for parts that also take live objects."""

from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig


def make(config: DictConfig, **objects: Any) -> Any:
    """Return what ``config._target_`` makes of the config's other keys and of ``objects``.

    The objects do not pass through Hydra, which would copy networks, and an error of the part comes out as raised.
    """
    return instantiate(config, _partial_=True, _convert_="all")(**objects)
