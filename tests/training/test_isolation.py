import logging
import os
import random
import signal
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hydra import initialize_config_dir
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.version import VersionBase
from omegaconf import OmegaConf

from ktlight.config.location import config_directory
from ktlight.training.isolation import isolated
from tests.process import Process, process


class Plugin(SearchPathPlugin):
    """Stands for the one that makes our models choices of the groups ``student`` and ``teacher`` of any application."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Do nothing."""


def disturb() -> None:
    """Change everything that a run changes, and more of it."""
    random.random()
    np.random.seed(7)
    torch.manual_seed(7)
    torch.use_deterministic_algorithms(not torch.are_deterministic_algorithms_enabled(), warn_only=True)
    torch.backends.cudnn.benchmark = not torch.backends.cudnn.benchmark
    os.environ |= {"PL_GLOBAL_SEED": "7", "PL_SEED_WORKERS": "1", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    os.environ.pop("PL_MINE", None)
    warnings.simplefilter("ignore")
    logging.getLogger("ktlight").addHandler(logging.NullHandler())
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    logging.getLogger().setLevel(logging.DEBUG)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Plugins.instance().register(Plugin)
    OmegaConf.register_new_resolver("product", lambda *_: "ours", replace=True)
    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        pass
    initialize_config_dir(str(config_directory()), "disturbed", version_base="1.2")


@pytest.fixture
def before(monkeypatch: pytest.MonkeyPatch) -> Iterator[Process]:
    monkeypatch.setenv("PL_MINE", "1")
    logging.getLogger("lightning.pytorch")  # there wherever a run is
    Plugins.instance()  # loading plugins for the first time may draw random numbers
    found = signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell ignores in the background
    yield process()
    signal.signal(signal.SIGINT, found)


def test_everything_is_put_back(before: Process) -> None:
    with isolated():
        disturb()
        assert set(process().differences(before)) == set(before.state), "what is not disturbed is not tested"
    assert process().differences(before) == []


def test_everything_is_put_back_after_an_error(before: Process) -> None:
    with pytest.raises(ZeroDivisionError), isolated():
        disturb()
        _ = 1 / 0
    assert process().differences(before) == []


def test_the_random_numbers_that_follow_are_the_same() -> None:
    def drawn() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    random.seed(3), np.random.seed(3), torch.manual_seed(3)
    expected = drawn()
    random.seed(3), np.random.seed(3), torch.manual_seed(3)
    with isolated():
        disturb()
        drawn()
    assert drawn() == expected


def test_a_hydra_that_is_at_work_stays_at_work() -> None:
    plugins: Any = Plugins.instance().plugin_type_to_subclass_list
    OmegaConf.register_new_resolver("product", lambda *_: "the user's", replace=True)
    with initialize_config_dir(str(config_directory()), version_base="1.1"):
        outer, hydra = GlobalHydra.instance(), GlobalHydra.instance().hydra
        known = {kind: list(classes) for kind, classes in plugins.items()}
        with isolated():
            assert not GlobalHydra.instance().is_initialized()
            disturb()
        assert GlobalHydra.instance() is outer and outer.hydra is hydra
        assert str(VersionBase.instance().getbase()) == "1.1"
        after: Any = Plugins.instance().plugin_type_to_subclass_list
        assert {kind: list(classes) for kind, classes in after.items()} == known
    assert OmegaConf.create({"value": "${product:2,3}"}).value == "the user's"
    OmegaConf.clear_resolver("product")
