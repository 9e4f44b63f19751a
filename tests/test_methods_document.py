"""docs/methods.md says of every method, router and schedule what its config says."""

import re
from collections.abc import Iterator
from functools import cache

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from ktlight.config.location import BASE, config_directory
from ktlight.config.model_source import register_models
from ktlight.config.resolvers import register_resolvers
from tests.conftest import REPOSITORY

CONF = config_directory()
TEXT = (REPOSITORY / "docs" / "methods.md").read_text()
SAID_ONCE = {
    "_target_",
    "name",
    "top_classes",
    "double_softmax",
    "standardize_logits",
}  # for all methods together, above or below the sections


def choices(group: str) -> list[str]:
    return sorted(file.stem for file in (CONF / group).glob("*.yaml") if file.stem != BASE)


@pytest.fixture(scope="module", autouse=True)
def _hydra() -> Iterator[None]:
    register_models()
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield


@cache
def composed(option: str) -> DictConfig:
    return compose("config", [option])


def section(method: str) -> str:
    found = re.search(rf"^### {method}\n(.*?)(?=^##)", TEXT, re.M | re.S)
    assert found, f"docs/methods.md has no section '### {method}'"
    return found[1]


def choice_of(config: DictConfig, group: str) -> str:
    """Return which file of a group made up a part of the config."""
    same = [name for name in choices(group) if composed(f"{group}={name}")[group] == config[group]]
    assert len(same) == 1, (group, same)
    return same[0]


@pytest.mark.parametrize("method", choices("method"))
def test_a_method_has_a_section_with_its_defaults(method: str) -> None:
    config = composed(f"method={method}")
    stated = dict(re.findall(r"(\w+)=([\w.]+)", section(method).partition("Config:")[2]))
    options = {key: value for key, value in config.method.items() if key not in SAID_ONCE}
    expected = {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in options.items()}
    if method != "ensemble":
        expected["router"] = choice_of(config, "router")
    if config.restraint._target_:
        expected["restraint"] = "mcl"
    assert stated == expected


@pytest.mark.parametrize("method", choices("method"))
def test_a_method_has_a_row_with_its_router_and_restraint(method: str) -> None:
    (row,) = (line for line in TEXT.splitlines() if line.startswith(f"| [`{method}`](#{method}) |"))
    cells = [cell.strip(" `") for cell in row.split("|")[1:-1]]
    config = composed(f"method={method}")
    assert cells[4] == ("mcl" if config.restraint._target_ else "")
    assert cells[3] == ("" if method == "ensemble" else choice_of(config, "router"))


@pytest.mark.parametrize("group", ["router", "schedule", "guard"])
def test_every_choice_is_named(group: str) -> None:
    part = TEXT[TEXT.index("## Routers") :]
    missing = [
        name for name in choices(group) if name not in ("none", "off") and not re.search(rf"`({group}=)?{name}`", part)
    ]
    assert not missing
