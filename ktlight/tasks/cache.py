"""The store from the command line: fill it ahead of a sweep, list, verify and prune it (task=cache)."""

import logging
import time
from typing import Any

from omegaconf import DictConfig

from ktlight.cache.store import LogitStore
from ktlight.cache.upkeep import describe, problems, sweep
from ktlight.config.model_source import model_node
from ktlight.data.datamodule import ImageDataModule
from ktlight.errors import UserError
from ktlight.models.zoo import cache_directory
from ktlight.report.folder import RunFolder
from ktlight.report.store import print_entries
from ktlight.tasks.assemble import data_module, load_dataset, model_config, open_folder
from ktlight.tasks.caching import OutputCache
from ktlight.tasks.pretrain import trained_classifier

logger = logging.getLogger(__name__)


def run_cache(config: DictConfig) -> dict[str, Any]:
    """Do ``cache.action`` and return its figures.

    Raises:
        UserError: There is nothing to fill the store with, or entries are damaged.
    """
    folder = open_folder(config)
    store = LogitStore(cache_directory() / "logits", config.cache.max_gb)
    action = config.cache.action
    if action == "fill":
        fill(config, folder)
    elif action == "verify":
        verify(store)
    elif action == "prune":
        prune(store)
    print_entries(describe(store), store.root)
    results = {"task": "cache", "action": action, "entries": len(store.entries()), "bytes": store.size()}
    folder.write_results(results)
    return results


def fill(config: DictConfig, folder: RunFolder) -> None:
    """Store the outputs of ``models`` for the training views and the test images of the data."""
    if not config.models:
        raise UserError("task=cache needs models whose outputs to store: models=[resnet50,vit_s]")
    if config.cache.mode != "auto":
        raise UserError(f"task=cache cannot fill the store with cache={config.cache.mode}: use cache=auto")
    dataset = load_dataset(config)
    classifiers = []
    for name in config.models:
        model = model_config(model_node(name))
        classifiers.append(trained_classifier(config, name, model, dataset, folder).frozen_copy())
    cache = OutputCache(config)
    by_canvas: dict[int, ImageDataModule] = {}
    for classifier in classifiers:
        started = time.perf_counter()
        canvases = set()
        for other in classifiers:
            # a run has one canvas for both of its models, so a model sees another one with each partner
            if other is not classifier or len(classifiers) == 1:
                data = data_module(config, dataset, [classifier, other])
                canvases.add(data.canvas)
                by_canvas.setdefault(data.canvas, data)
        for canvas in sorted(canvases):
            cache.fill(classifier, by_canvas[canvas], config.trainer.max_epochs)
        logger.info("%s: stored (%.1f s)", classifier.name, time.perf_counter() - started)


def verify(store: LogitStore) -> None:
    """Read every entry whole and name the damaged ones.

    Raises:
        UserError: There are any.
    """
    damaged = [str(problem) for problem in problems(store)]
    if damaged:
        raise UserError(
            "\n  ".join([f"{len(damaged)} damaged entries; they are computed anew when a run needs them:", *damaged])
        )
    logger.info("All entries are what was written")


def prune(store: LogitStore) -> None:
    """Delete what is of no use, then what was used least recently until the store is within ``cache.max_gb``."""
    if store.max_bytes is None:
        raise UserError("cache.action=prune needs to know how much may stay: cache.max_gb=10")
    sweep(store)
    store.prune(store.max_bytes)
