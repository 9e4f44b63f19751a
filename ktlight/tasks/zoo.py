"""The zoo on the command line: list the models for a data set, or remove one (task=zoo)."""

import logging
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from ktlight.errors import UserError
from ktlight.models.zoo import Entry, Zoo
from ktlight.report.zoo import print_models
from ktlight.training.assemble import load_dataset
from ktlight.training.record import Run

logger = logging.getLogger(__name__)


def run(config: DictConfig, run: Run) -> dict[str, Any]:
    """Run ``zoo.action`` and return the remaining models.

    Raises:
        UserError: If the model to remove is not named or does not exist.
    """
    zoo, options = Zoo(), config.zoo
    identity = None if options.all else load_dataset(config).identity
    if options.action == "remove":
        if not options.name:
            raise UserError("zoo.action=remove needs to know which model: zoo.name=NAME (task=zoo lists the names)")
        entry = zoo.named(options.name, identity)
        zoo.remove(entry)
        logger.info("Removed %s", entry)
    models = [facts(entry) for entry in zoo.entries(identity)]
    return run.finish({"task": "zoo", "action": options.action, "data": config.data.name, "models": models})


def show(results: dict[str, Any], folder: Path) -> None:
    """Print the models."""
    print_models(results["models"], Zoo().root)


def facts(entry: Entry) -> dict[str, Any]:
    """Return a model's row of the table."""
    record = entry.record
    kept = ("data", "epochs", "seed", "acc", "parameters", "created")
    return {
        "name": entry.name,
        "model": record["student"],
        **{key: record[key] for key in kept},
        "holdout": record["recipe"]["data"]["holdout"],
        "bytes": entry.size,
    }
