"""The config of a run with another method than it names."""

from collections.abc import Sequence

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, ListConfig

from ktlight.config.checks import check_config
from ktlight.config.instantiate import check_parts
from ktlight.errors import UserError, nearest


def listed_methods(config: DictConfig, option: str) -> list[str]:
    """Return the names of methods in a list.

    Raises:
        UserError: It is no list of methods, is empty, or names one that does not exist or twice.
    """
    names = config[option]
    if not isinstance(names, ListConfig) or not len(names):
        raise UserError(f"{option} must be a list of methods, such as '{option}=[kl,kl_dp]'")
    found = [str(name) for name in names]
    for number, name in enumerate(found):
        check_known(name)
        if name in found[:number]:
            raise UserError(f"the method {name} is given twice in {option}=[...]: give each once")
    return found


def check_known(name: str) -> None:
    """Raise `UserError` unless a method has a config of its own."""
    loader = GlobalHydra.instance().config_loader()
    known = loader.get_group_options("method", config_name="config", overrides=[])
    if name not in known:
        raise UserError(f"unknown method '{name}'.{nearest(name, known)} There are: {', '.join(known)}.")


def with_method(name: str) -> DictConfig:
    """Return the config of the running command with a method, and the parts that come with it."""
    job = HydraConfig.get()
    config = compose(job.job.config_name, [*without(job.overrides.task, "method"), f"method={name}"])
    check_config(config)
    check_parts(config)
    return config


def without(typed: Sequence[str], *names: str) -> list[str]:
    """Return the options as typed, without some; a name that ends in a dot stands for all below it.

    >>> without(["method=kl", "seed=1", "+method.x=2", "recommend.runs=a"], "method", "recommend.")
    ['seed=1', '+method.x=2']
    """
    kept = []
    for option in typed:
        key = option.lstrip("+~").partition("=")[0]
        if not any(key.startswith(name) if name.endswith(".") else key == name for name in names):
            kept.append(option)
    return kept
