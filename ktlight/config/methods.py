"""Methods that a config lists, and the config of a run with another method than it names."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf

from ktlight.config.checks import check_config
from ktlight.config.instantiate import check_parts
from ktlight.config.literal import literal
from ktlight.config.swept import LISTS, SINGLE
from ktlight.errors import UserError, nearest

OF_THE_SWEEP = ("experiment", "launcher", "sweep", "dry_run", "resume")
"""Options of a sweep, besides its lists, that its runs do not have."""
NOT_OF_A_METHOD = (*LISTS, *(name for name in SINGLE if name != "method"), *OF_THE_SWEEP, "hydra", "task")
"""What an entry of ``methods`` cannot say."""
OPTION = re.compile(r"[A-Za-z_][\w.]*")
TOGETHER = "together"


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


class MethodEntry(NamedTuple):
    """An entry of the ``methods`` of a sweep.

    Attributes:
        options: What it says, as typed for a single run, the method first.
        together: Whether all teachers of a student teach it in one run.
    """

    options: tuple[str, ...]
    together: bool = False

    def __str__(self) -> str:
        return " ".join((*self.options, *(("teachers=together",) if self.together else ()))).removeprefix("method=")


def method_entries(config: DictConfig) -> list[MethodEntry]:
    """Return the entries of ``methods``: names, or mappings of options such as ``{method: kl_dp, router: margin}``.

    Raises:
        UserError: It is no list of them, is empty, or has an entry that cannot be read, or twice.
    """
    listed = config.methods
    if not isinstance(listed, ListConfig) or not len(listed):
        raise UserError("methods must be a list of methods, such as 'methods=[kl,kl_dp]'")
    plain: Any = OmegaConf.to_container(listed, resolve=True)
    found: list[MethodEntry] = []
    for raw in plain:
        entry = _method_entry(raw)
        if any(set(entry.options) == set(other.options) and entry.together == other.together for other in found):
            raise UserError(f"the method {entry} is given twice in methods=[...]: give each once")
        found.append(entry)
    return found


def _method_entry(raw: Any) -> MethodEntry:
    options = {str(key): value for key, value in raw.items()} if isinstance(raw, dict) else {"method": raw}
    if not isinstance(options.get("method"), str):
        raise UserError(f"methods: {raw} names no method, as in {{method: kl_dp, router: margin}}")
    check_known(options["method"])
    if (teachers := options.pop("teachers", None)) not in (None, TOGETHER):
        raise UserError(f"methods: teachers: {teachers} can only be {TOGETHER}, all teachers of a student in one run")
    for key in options:
        if not OPTION.fullmatch(key) or key.partition(".")[0] in NOT_OF_A_METHOD:
            raise UserError(f"methods: '{key}' is no option that a method can be given there")
    return MethodEntry(
        tuple(f"{key}={literal(options[key])}" for key in ("method", *(key for key in options if key != "method"))),
        teachers is not None,
    )


def check_known(name: str) -> None:
    """Raise `UserError` unless a method has a config of its own."""
    loader = GlobalHydra.instance().config_loader()
    known = loader.get_group_options("method", config_name="config", overrides=[])
    if name not in known:
        raise UserError(f"unknown method '{name}'.{nearest(name, known)} There are: {', '.join(known)}.")


def with_method(name: str) -> DictConfig:
    """Return the config of the running command with a method, and the parts that come with it.

    Raises:
        UserError: An option was typed that a part of the method does not have, such as one of another router.
    """
    job = HydraConfig.get()
    try:
        config = compose(job.job.config_name, [*without(job.overrides.task, "method"), f"method={name}"])
    except HydraException as error:
        said = str(error).partition("\n")[0].rstrip(".")
        raise UserError(
            f"with method={name}: {said}; leave the option or the method out, or give router= too"
        ) from error
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
