"""The sweep files for W&B: what its agent makes of them is a command that works."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

from ktlight.config.location import config_directory
from ktlight.config.model_source import register_models
from ktlight.config.overrides import check_overrides
from ktlight.config.resolvers import register_resolvers
from ktlight.publication.weights_and_biases.tracking import figures_of
from tests.made import transfer_results

FILES = sorted((config_directory() / "wandb").glob("*.yaml"))


def commands(sweep: dict[str, Any]) -> list[list[str]]:
    """Return the commands of all combinations, as W&B's agent makes them."""
    ranges = [
        each.get("values") or [each.get("value", each.get("min"))] for each in sweep["parameters"].values()
    ]  # of a distribution, its lowest value
    made = []
    for values in itertools.product(*ranges):
        given = dict(zip(sweep["parameters"], ({"value": value} for value in values), strict=True))
        known = {**create_sweep_command_args({"args": given}), "env": ["/usr/bin/env"], "interpreter": ["python"]}
        known["program"] = [sweep["program"]]
        parts = [known[part[2:-1]] if part.startswith("${") else [part] for part in sweep["command"]]
        made.append(list(itertools.chain(*parts)))
    return made


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_command_composes(file: Path) -> None:
    register_models()
    register_resolvers()
    sweep = yaml.safe_load(file.read_text())
    made = commands(sweep)
    assert len({tuple(command) for command in made}) == len(made)
    for command in made[:: max(1, len(made) - 1)]:  # the first and the last, which have no value in common
        assert command[:3] == ["/usr/bin/env", "python", "run.py"]
        config = check_overrides(command[3:])
        assert config.logger.name == "wandb"
        if "student" in sweep["parameters"]:
            assert config.student.name != config.teacher.name
    assert sweep["metric"]["name"] in figures_of(transfer_results())
