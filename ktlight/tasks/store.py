"""The store on the command line: fill it before a sweep, list, verify and prune it (task=store)."""

import logging
import time
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from ktlight.answers.stored import OutputStore
from ktlight.config.models import listed_models
from ktlight.errors import UserError
from ktlight.models.zoo import cache_directory
from ktlight.report.store import print_entries
from ktlight.stages.trained import trained_classifier
from ktlight.store.store import LogitStore
from ktlight.store.upkeep import describe, problems, sweep
from ktlight.training.assemble import data_module, load_dataset
from ktlight.training.length import transfer_epochs
from ktlight.training.record import Run

logger = logging.getLogger(__name__)


def run(config: DictConfig, run: Run) -> dict[str, Any]:
    """Run ``store.action`` and return its figures.

    Raises:
        UserError: If there is nothing to fill the store with, or entries are damaged.
    """
    store = LogitStore(cache_directory() / "store", config.store.max_gb)
    action = config.store.action
    if action in ("fill", "prepare"):
        fill(config, run)
    elif action == "verify":
        verify(store)
    elif action == "prune":
        prune(store)
    return run.finish(
        {
            "task": "store",
            "action": action,
            "root": str(store.root),
            "entries": len(store.entries()),
            "bytes": store.size(),
        }
    )


def show(results: dict[str, Any], folder: Path) -> None:
    """Print the contents of the store; what a sweep prepared for its runs has been said."""
    if results["action"] != "prepare":
        print_entries(describe(LogitStore(Path(results["root"]))), Path(results["root"]))


def fill(config: DictConfig, run: Run) -> None:
    """Store the outputs of ``models`` for the training views and the test images of the data.

    With ``store.action=prepare`` only what a transfer with the same options would store, for those that follow.
    """
    everything = config.store.action == "fill"
    if not config.models:
        raise UserError("task=store needs models whose outputs to store: models=[resnet50,vit_s]")
    if everything and config.store.mode not in ("auto", "fill"):
        raise UserError(f"task=store cannot fill the store with store={config.store.mode}: use store=fill")
    models = listed_models(config, "models")
    dataset = load_dataset(config)
    classifiers = [
        trained_classifier(config, f"model{number}", model, dataset, run).frozen_copy()
        for number, model in enumerate(models, 1)
    ]
    if config.store.mode not in ("auto", "fill"):
        return
    outputs = OutputStore(config, mode="fill" if everything else None)
    data = data_module(config, dataset)
    for classifier in classifiers:
        started = time.perf_counter()
        if everything or config.store.views:
            outputs.fill(classifier, data, transfer_epochs(config, data))
        else:
            outputs.outputs(classifier, [data.test_images(classifier.framing)])
        logger.info("%s: stored (%.1f s)", classifier.name, time.perf_counter() - started)


def verify(store: LogitStore) -> None:
    """Verify every entry in full.

    Raises:
        UserError: If any is damaged; the message names them.
    """
    damaged = [str(problem) for problem in problems(store)]
    if damaged:
        raise UserError(
            "\n  ".join([f"{len(damaged)} damaged entries; they are computed anew when a run needs them:", *damaged])
        )
    logger.info("All entries are what was written")


def prune(store: LogitStore) -> None:
    """Delete unusable entries, then the least recently used until the store is within ``store.max_gb``."""
    if store.max_bytes is None:
        raise UserError("store.action=prune needs to know how much may stay: store.max_gb=10")
    sweep(store)
    store.prune(store.max_bytes)
