"""Leaves a process that is not ours as it was found: what a run needs to change, it changes back."""

import copy
import logging
import os
import random
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.core.utils import JobRuntime
from hydra.version import VersionBase
from omegaconf.basecontainer import BaseContainer

VARIABLES = ("PL_", "CUBLAS_WORKSPACE_CONFIG")
"""How the names of the environment variables begin that Lightning sets in a single process."""


@contextmanager
def isolated() -> Iterator[None]:
    """Put back, also after an error, everything global that a run changes, and give it a Hydra of its own.

    These are the random states of Python, NumPy and torch, the deterministic flags, environment variables, warning
    filters, levels and handlers of loggers, the handler of Ctrl-C, and what Hydra and OmegaConf keep. Which job of a
    Hydra application is running stays visible: further processes are started by its command line.
    """
    states = [(restore, take()) for take, restore in STATES]
    GlobalHydra.instance().clear()
    try:
        with warnings.catch_warnings():
            yield
    finally:
        for restore, state in states:
            restore(state)


def _uses_cuda() -> bool:
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]


def _cuda_generators() -> list[torch.Tensor] | None:
    return torch.cuda.get_rng_state_all() if _uses_cuda() else None


def _restore_cuda_generators(states: list[torch.Tensor] | None) -> None:
    if states is not None:
        torch.cuda.set_rng_state_all(states)
    elif _uses_cuda():  # by the run; as if it had been seeded with the processor's generator
        torch.cuda.manual_seed_all(torch.initial_seed())


def _deterministic() -> tuple[bool, bool]:
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


def _restore_deterministic(state: tuple[bool, bool]) -> None:
    torch.use_deterministic_algorithms(state[0], warn_only=state[1])


def _restore_benchmark(benchmark: bool) -> None:
    torch.backends.cudnn.benchmark = benchmark


def _variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(VARIABLES)}


def _restore_variables(variables: dict[str, str]) -> None:
    for name in _variables().keys() - variables.keys():
        del os.environ[name]
    os.environ.update(variables)


def _loggers() -> dict[logging.Logger, tuple[int, bool, list[logging.Handler]]]:
    ours = logging.getLogger("ktlight")  # before anybody asks for it, it would only be a place in the tree
    known = [
        logging.root,
        ours,
        *(each for each in logging.root.manager.loggerDict.values() if isinstance(each, logging.Logger)),
    ]
    return {each: (each.level, each.propagate, list(each.handlers)) for each in known}


def _restore_loggers(loggers: dict[logging.Logger, tuple[int, bool, list[logging.Handler]]]) -> None:
    for logger, (level, propagate, handlers) in loggers.items():
        logger.setLevel(level)
        logger.propagate, logger.handlers = propagate, handlers


def _interrupt_handler() -> Any:
    return signal.getsignal(signal.SIGINT)


def _restore_interrupt_handler(handler: Any) -> None:
    # after Ctrl-C Lightning would leave a process that cannot be interrupted again
    if handler is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, handler)


def _hydra() -> dict[str, Any]:
    outer = GlobalHydra.instance()
    return {
        "global": (outer, outer.hydra),
        "job": JobRuntime.instance().conf.copy(),
        "version": VersionBase.instance().version_base,
        "plugins": copy.deepcopy(vars(Plugins.instance())),  # containers of classes, which are not copied
        "sources": dict(SourcesRegistry.instance().types),
        "resolvers": dict(BaseContainer._resolvers),
    }


def _restore_hydra(state: dict[str, Any]) -> None:
    outer, outer.hydra = state["global"][0], state["global"][1]
    GlobalHydra.set_instance(outer)
    JobRuntime.instance().conf = state["job"]
    VersionBase.instance().version_base = state["version"]
    vars(Plugins.instance()).update(state["plugins"])
    SourcesRegistry.instance().types = state["sources"]
    BaseContainer._resolvers = state["resolvers"]


STATES: tuple[tuple[Callable[[], Any], Callable[[Any], object]], ...] = (
    (random.getstate, random.setstate),
    (np.random.get_state, np.random.set_state),
    (torch.get_rng_state, torch.set_rng_state),
    (_cuda_generators, _restore_cuda_generators),
    (_deterministic, _restore_deterministic),
    (lambda: torch.backends.cudnn.benchmark, _restore_benchmark),
    (_variables, _restore_variables),
    (_loggers, _restore_loggers),
    (_interrupt_handler, _restore_interrupt_handler),
    (_hydra, _restore_hydra),
)
"""What is taken before a run, and how it is put back."""
