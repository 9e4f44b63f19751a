"""Random command lines, valid and broken: each is taken, or refused with one line; never with a traceback."""

import random

import pytest

from ktlight.cli import _check
from ktlight.config.location import BASE, config_directory
from ktlight.config.model_source import register_models
from ktlight.config.resolvers import NO_GROUPS, register_resolvers
from ktlight.errors import UserError

LINES = 60
VALUES = (
    "null", "true", "0", "-1", "1", "0.5", "1e9", ".nan", "abc", "''", "[]", "[1,2]", "{}", "{a:1}", "[null]",
    "${nope}", "${seed}", "${nope:1}", "???", "'\"[a,b]\"'", "a=b", "[", "1,2", "torch.optim.Sgd", "ünï", "../x",
    "glob(*)",
)  # fmt: skip
KEYS = (
    "seed", "resume", "teachers", "models", "student", "teacher", "student.img_size", "student.kwargs",
    "student.name", "student.architecture", "student.checkpoint", "teacher.kwargs", "data", "data.name", "data.load",
    "data.holdout", "data.holdout_for", "data.augment", "data.augment.kind", "data.augment.scale", "data.augment.foo",
    "data.batch_size", "data.workers", "data.pretrain", "recipe", "recipe.lr", "recipe.lr.sgd", "recipe.steps",
    "recipe.mcl", "optim", "optim.lr", "optim.peers", "optim.optimizer", "optim.optimizer._target_", "optim.decay",
    "method", "method._target_", "method.name", "method.temperature", "method.top_classes", "router",
    "router._target_", "router.use_labels", "restraint", "restraint.tau", "schedule", "schedule.name",
    "schedule.average", "guard", "guard.name", "trainer", "trainer.max_epochs", "trainer.precision",
    "trainer.devices", "store", "store.top_k", "logger", "logger.name", "compat", "compat.top_classes", "pretrain",
    "pretrain.optim", "pretrain.optim.lr", "task", "task.name", "task.label", "experiment", "hydra.run.dir",
    "hydra.job.name", "nope", "nope.nope", "",
)  # fmt: skip


def command_line(draw: random.Random) -> list[str]:
    """Return one to four arguments: choices of groups that exist, and keys with whatever values."""
    groups = [path for path in sorted(config_directory().iterdir()) if path.is_dir() and path.name not in NO_GROUPS]
    arguments = []
    for _ in range(draw.randint(1, 4)):
        if draw.random() < 0.4:
            group = draw.choice(groups)
            choice = draw.choice(sorted(file.stem for file in group.glob("*.yaml") if file.stem != BASE))
            arguments.append(f"{group.name}={choice}")
        else:
            arguments.append(f"{draw.choice(('', '', '', '+', '++', '~'))}{draw.choice(KEYS)}={draw.choice(VALUES)}")
    return ["-m", *arguments] if draw.random() < 0.2 else arguments


@pytest.mark.parametrize("number", range(LINES))
def test_a_random_command_line_is_taken_or_refused_in_one_line(number: int) -> None:
    register_models()
    register_resolvers()
    arguments = command_line(random.Random(number))
    try:
        _check(arguments)
    except UserError as error:
        assert str(error) and "\n" not in str(error), arguments
