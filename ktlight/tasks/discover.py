"""Discovery: what each of many models knows that the others do not."""

import logging
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from torch import Tensor

from ktlight.answers.stored import OutputStore
from ktlight.config.models import OPTIONS, listed_models
from ktlight.data.datamodule import ImageDataModule
from ktlight.data.dataset import ImageDataset
from ktlight.discovery.asking import Candidate, ask_models
from ktlight.discovery.discover import Options, discover
from ktlight.discovery.similarity import read_similarity
from ktlight.errors import UserError
from ktlight.models.build import new_classifier
from ktlight.models.classifier import Classifier
from ktlight.models.spec import ModelConfig
from ktlight.models.zoo import Zoo
from ktlight.publication.discovery.page import write_discovery_page
from ktlight.publication.finished import nothing_lost
from ktlight.report.discovery import read_discovery
from ktlight.report.pairs import print_discovery
from ktlight.stages.labels import learn_label_map
from ktlight.stages.trained import locate, trained_classifier
from ktlight.training.assemble import data_module, load_dataset
from ktlight.training.processes import is_first_process
from ktlight.training.record import Run

logger = logging.getLogger(__name__)


def run(config: DictConfig, run: Run) -> dict[str, Any]:
    """Ask ``models`` about the same images and compare all pairs of them (task=discover).

    Raises:
        UserError: If there are fewer than two models that can be compared.
    """
    models, options = listed_models(config, "models"), config.discovery
    if len(models) + options.baseline < 2:
        raise UserError("task=discover compares models, so give at least two: 'models=[vit_s,glob(convnext_*)]'")
    dataset = load_dataset(config)
    own = own_similarity(options.similarity, dataset.num_classes)
    data = data_module(config, dataset)
    run.phase("ask")
    outputs = OutputStore(config)
    asked = ask_models(candidates(config, models, data, outputs, run), data, outputs, options.labels)
    run.record_start(run.described(dataset, {}))
    run.phase("compare")
    facts: dict[str, Any] = {}
    if is_first_process():
        logger.info("Comparing %d models on %d images", len(asked.models), data.num_eval)
        wanted = Options(
            config.data.evaluate_on, options.labels, options.chosen, options.resamples, config.seed,
            config.page.images, own | asked.similarities,
        )  # fmt: skip
        facts = {**discover(asked, dataset, wanted, run.folder.path)}
    kept = ("data", "evaluated_on", "num_eval", "failed", "best_pairs", "summary")
    results = run.finish(
        {
            "task": "discover",
            **{name: facts.get(name) for name in kept},
            "num_train": len(dataset.train or ()),
            "weights": {said.name: said.facts["weights"] for said in asked.models},
            "architectures": {said.name: said.facts["architecture"] for said in asked.models},
            "given": {name: given_options(model) for name, model in zip(unique_names(models), models, strict=True)},
        }
    )
    if is_first_process():
        with nothing_lost(run.folder.path):
            write_discovery_page(run.folder.path)
    return results


def show(results: dict[str, Any], folder: Path) -> None:
    """Print the most complementary pairs and what was found."""
    discovery = read_discovery(folder)
    typed = [option for option in HydraConfig.get().overrides.task if not _is_of_discovery(option)]
    print_discovery(discovery, next_step(results, typed))


def own_similarity(file: str | None, num_classes: int) -> dict[str, Tensor]:
    """Return the similarities of classes in a user's file by its name, if there is one."""
    return {} if file is None else {Path(file).name: read_similarity(Path(file), num_classes)}


def candidates(
    config: DictConfig, models: Sequence[ModelConfig], data: ImageDataModule, outputs: OutputStore, run: Run
) -> list[Candidate]:
    """Return the models to ask, under unique names, and after them a randomly initialised one if that is wanted."""

    def load(role: str, model: ModelConfig) -> Classifier:
        return learn_label_map(trained_classifier(config, role, model, data.dataset, run), data, outputs)

    found = [
        Candidate(name, partial(load, f"model{number}", model))
        for number, (name, model) in enumerate(zip(unique_names(models), models, strict=True), 1)
    ]
    if config.discovery.baseline:
        first = models[0]
        found.append(Candidate(f"random {first.name}", partial(untrained, config, first, data.dataset), baseline=True))
    return found


def untrained(config: DictConfig, model: ModelConfig, dataset: ImageDataset) -> Classifier:
    """Return a randomly initialised model; the architecture of ``zoo:NAME`` is looked up."""
    if not model.architecture:
        model, _ = locate(model, Zoo(), dataset.identity)
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        return new_classifier(model, num_classes=dataset.num_classes, native_size=dataset.native_size)


def unique_names(models: Sequence[ModelConfig]) -> list[str]:
    """Return the models' names, numbered where one occurs more than once."""
    count, seen = Counter(model.name for model in models), Counter[str]()
    names = []
    for model in models:
        seen[model.name] += 1
        names.append(f"{model.name}-{seen[model.name]}" if count[model.name] > 1 else model.name)
    return names


def given_options(model: ModelConfig) -> dict[str, Any]:
    """Return what was given of a model: its name, empty for one of the zoo, and the options that are not the usual."""
    usual = ModelConfig(name=model.name, architecture=model.architecture)
    given = {option: getattr(model, option) for option in OPTIONS if getattr(model, option) != getattr(usual, option)}
    return {"name": model.name if model.architecture else "", **given}


def next_step(results: Mapping[str, Any], typed: Sequence[str]) -> str:
    """Return the command that transfers between the first of the pairs to try."""
    if not results["best_pairs"]:
        return "compare other models, or the same ones with labels (discovery.labels=true)"
    pair, options = results["best_pairs"][0], []
    for role in ("teacher", "student"):
        given = dict(results["given"][pair[role]])
        options.append(f"{role}={given.pop('name') or results['architectures'][pair[role]]}")
        options += [f"{role}.{option}={value}".replace("'", "") for option, value in given.items()]
    train = [] if results["num_train"] else ["data.train=FILE"]
    return shlex.join(["python", "run.py", *options, *typed, *train])


def _is_of_discovery(option: str) -> bool:
    """Return whether an option has no place in a transfer; those of ``teacher``, shared by all models, are given."""
    return option.lstrip("+").partition("=")[0].partition(".")[0] in (
        "task",
        "models",
        "discovery",
        "resume",
        "teacher",
    )
