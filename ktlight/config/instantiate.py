"""The parts that a config names by ``_target_``: finding, checking and instantiating them with live objects."""

import inspect
from collections.abc import Callable, Collection
from importlib import import_module
from types import ModuleType
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ktlight.config.trust import PARTS as PACKAGES
from ktlight.config.trust import check_trusted, is_from
from ktlight.errors import UserError, nearest
from ktlight.limits import check_arguments

PARTS = {
    "data.load": None,
    "data.augment": "ktlight.data.augment.Augment",
    "method": "ktlight.methods.base.TransferMethod",
    "router": "ktlight.routing.rules.RoutingRule",
    "restraint": "lightning.pytorch.callbacks.Callback",
    "optim.optimizer": "torch.optim.Optimizer",
    "pretrain.optim.optimizer": "torch.optim.Optimizer",
}
"""Config keys that name a part, and its required base class."""
OPTIONAL = ("method", "router", "restraint")
"""Those that may be null, to do nothing."""
LIVE = ("networks", "optimization", "params", "lr", "fused", "batch")
"""Parameters of parts that are passed by ktlight and are not options."""
DATASET = "ktlight.data.dataset.ImageDataset"
OPTIMIZERS = ("torch.optim", "timm.optim")


def make(config: DictConfig, **objects: Any) -> Any:
    """Call ``config._target_`` with the config's other keys and ``objects``.

    Hydra's `instantiate` would copy the objects, including networks, and wrap the part's errors.

    Raises:
        UserError: If the config has an unknown key or an invalid value, or lacks a required key.
    """
    part, options = _part(config)
    try:
        inspect.signature(part).bind(**options, **objects)
    except TypeError as error:
        raise UserError(_unfit(config, part, error, objects)) from error
    check_arguments(part, options, config._get_full_key(None))
    return part(**options, **objects)


def accepts(config: DictConfig, option: str) -> bool:
    """Return whether the part that ``config._target_`` names has this option."""
    return option in inspect.signature(_part(config)[0]).parameters


def check_parts(config: DictConfig) -> None:
    """Check that every part that a config names exists, is of the right kind, and accepts its options.

    This imports torch, so it runs after all checks that do not need it.

    Raises:
        UserError: If a part does not exist, is of the wrong kind, or has an unknown option.
    """
    for key, base in PARTS.items():
        node = OmegaConf.select(config, key)
        if not isinstance(node, DictConfig):
            raise UserError(f"{key} must be a mapping with a _target_")
        if node.get("_target_") is None and key in OPTIONAL:
            continue
        part, options = _part(node, _imported(base) if base else object)
        try:
            inspect.signature(part).bind_partial(**options)
        except TypeError as error:
            raise UserError(_unfit(node, part, error, LIVE)) from error
        if given := [name for name in LIVE if name in options]:
            raise UserError(f"{key}.{given[0]} is no option: it is given by other parts of the config")
        check_arguments(part, options, key)
    make(config.data.augment)


def located(target: Any, key: str, base: type = object) -> Any:
    """Return the class or function of a dotted name, if whoever wrote it is trusted (`ktlight.config.trust`).

    Args:
        target: The name.
        key: Its key in the config.
        base: The required base class; `object` for any callable.

    Raises:
        UserError: If it is not a dotted name, is not trusted, does not exist, or is of the wrong kind.
    """
    module, _, name = target.rpartition(".") if isinstance(target, str) else ("", "", "")
    if not module:
        raise UserError(f"{key}._target_={target} must be the whole name of a class or function, as torch.optim.SGD")
    check_trusted(target, f"{key}._target_")
    try:
        part = getattr(import_module(module), name, None)
    except (ImportError, ValueError) as error:
        raise UserError(f"{key}._target_={target}: {error}") from error
    if not callable(part):
        modules = OPTIMIZERS if key.endswith("optimizer") else (module,)
        known = [f"{each}.{name}" for each in modules for name in _public(import_module(each), base)]
        raise UserError(f"{key}._target_={target} does not exist.{nearest(target, known)}")
    check_trusted(f"{part.__module__}.{name}", f"{key}._target_")  # what a module has imported is not its own
    if key == "data.load" and is_from(target, PACKAGES) and _returned(part) is not _imported(DATASET):
        raise UserError(f"{key}._target_={target} returns no data set, which {key} must")
    if not _is_a(part, base):
        raise UserError(f"{key}._target_={target} is no {base.__name__}, which {key} must be")
    return part


def _imported(name: str) -> Any:
    """Return what one of ktlight's own constants names."""
    module, _, leaf = name.rpartition(".")
    return getattr(import_module(module), leaf)


def _returned(part: Any) -> Any:
    return inspect.signature(part).return_annotation


def _is_a(part: Any, base: type) -> bool:
    return base is object or (inspect.isclass(part) and issubclass(part, base))


def _public(module: ModuleType, base: type) -> list[str]:
    members = inspect.getmembers(module, lambda member: callable(member) and _is_a(member, base))
    return [name for name, _ in members if not name.startswith("_")]


def _part(config: DictConfig, base: type = object) -> tuple[Callable[..., Any], dict[str, Any]]:
    """Return the part that a config names, and its options."""
    options: Any = OmegaConf.to_container(config, resolve=True)
    return located(options.pop("_target_", None), config._get_full_key(None), base), options


def _unfit(config: DictConfig, part: Callable[..., Any], error: TypeError, live: Collection[str]) -> str:
    options = ", ".join(name for name in inspect.signature(part).parameters if name not in live)
    return f"{config._target_}: {error}. Its options are {options}."
