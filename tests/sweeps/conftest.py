"""What the tests of sweeps share: Hydra's loader, and one for the jobs of a sweep."""

from collections.abc import Callable, Iterator

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from ktlight.config.location import config_directory
from ktlight.config.model_source import register_models
from ktlight.config.resolvers import register_resolvers
from ktlight.sweeps.composition import SweepLoader

MakeLoader = Callable[..., SweepLoader]


@pytest.fixture
def loader() -> Iterator[MakeLoader]:
    """Return the loader for the jobs of a sweep with these options."""
    register_models()
    register_resolvers()

    def make(*typed: str) -> SweepLoader:
        master = compose("config", list(typed), return_hydra_config=True)
        return SweepLoader(GlobalHydra.instance().config_loader(), master)

    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        yield make
    GlobalHydra.instance().clear()
