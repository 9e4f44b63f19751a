"""Everything global in a process that a run could change; for tests that compare it before and after."""

import logging
import os
import random
import signal
import warnings
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.utils import JobRuntime
from hydra.version import VersionBase
from omegaconf.basecontainer import BaseContainer


@dataclass(frozen=True)
class Process:
    """What is global, by name, each as something that can be compared."""

    state: dict[str, Any]

    def differences(self, other: "Process") -> list[str]:
        """Return the names of what is not the same."""
        return [name for name, value in self.state.items() if value != other.state[name]]


def process() -> Process:
    """Return the state of this process."""
    deterministic = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(deterministic, warn_only=warns)  # imports what sets variables of its own
    compiled: Any = import_module("torch._inductor.config")
    names, *numbers = np.random.get_state()
    tree = logging.root.manager.loggerDict
    known = {"": logging.root, **{name: each for name, each in tree.items() if isinstance(each, logging.Logger)}}
    return Process(
        {
            "python": random.getstate(),
            "numpy": (names, [np.asarray(each).tolist() for each in numbers]),
            "torch": torch.get_rng_state().tolist(),
            "deterministic": (deterministic, warns, compiled.deterministic),
            "benchmark": torch.backends.cudnn.benchmark,
            "environment": {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"},
            "warnings": list(warnings.filters),
            "loggers": {
                name: (each.level, each.propagate, each.disabled, list(each.handlers), list(each.filters))
                for name, each in known.items()
                if not name.startswith("torch.")  # which come as parts of torch are imported
                and (each.level or each.handlers or each.filters or not each.propagate or each.disabled)
            },
            "interrupt": signal.getsignal(signal.SIGINT),
            "hydra": (id(GlobalHydra.instance()), id(GlobalHydra.instance().hydra), id(HydraConfig.instance().cfg)),
            "hydra's version": VersionBase.instance().version_base,
            "hydra's job": dict(JobRuntime.instance().conf),
            "plugins": {kind: list(all_) for kind, all_ in Plugins.instance().plugin_type_to_subclass_list.items()},
            "resolvers": dict(BaseContainer._resolvers),
        }
    )
