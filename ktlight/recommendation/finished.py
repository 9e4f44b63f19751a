"""Finished transfers that advice can learn from: which model taught which, how, and what came of it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ktlight.data.dataset import ImageDataset
from ktlight.errors import UserError
from ktlight.models.build import build_classifier
from ktlight.models.classifier import Classifier, Identity
from ktlight.models.spec import PREPROCESSING, ZOO_PREFIX, ModelConfig
from ktlight.models.zoo import Zoo
from ktlight.report.runs import Finished, Unreadable, folders_of, read_runs
from ktlight.stages.trained import locate

PARTS = ("method", "router", "restraint")
"""What makes a method; a run that changed any of it is another method."""
SAME_DATA = ("fraction", "holdout")


class LeftOut(Exception):  # noqa: N818  (what happened to it)
    """A run that advice cannot learn from; the message says why."""


@dataclass(frozen=True)
class Transferred:
    """A finished transfer between two models that are at hand.

    Attributes:
        folder: Of the run.
        student: The student before, frozen.
        teacher: The teacher, frozen.
        method: Name of the method.
        delta: Its transfer delta, in points.
    """

    folder: Path
    student: Classifier
    teacher: Classifier
    method: str
    delta: float


def finished_transfers(
    patterns: Sequence[str],
    config: DictConfig,
    dataset: ImageDataset,
    known: Iterable[Classifier],
    method: Callable[[str], DictConfig],
    ready: Callable[[Classifier], Classifier],
) -> tuple[list[Transferred], list[Unreadable]]:
    """Return the transfers that advice can learn from, and the other runs with the reasons.

    Args:
        patterns: Folders of runs, or patterns such as ``runs/**``.
        config: The composed config.
        dataset: The data; runs on other data are left out.
        known: Models at hand, frozen.
        method: Returns the config with a method; raises `UserError` if it cannot be probed.
        ready: Lets a frozen model answer in the data's classes, if that has to be learned first.
    """
    runs, left_out = read_runs(folders_of(patterns, "recommend.runs="))
    at_hand = {model.identity(): model for model in known}
    transfers = []
    for run in runs:
        if run.results["task"] != "transfer":
            continue
        try:
            transfers.append(_transferred(run, config, dataset, at_hand, method, ready))
        except (LeftOut, UserError) as error:
            left_out.append(Unreadable(run.folder, str(error)))
    return transfers, left_out


def _transferred(
    run: Finished,
    config: DictConfig,
    dataset: ImageDataset,
    at_hand: dict[Identity, Classifier],
    method: Callable[[str], DictConfig],
    ready: Callable[[Classifier], Classifier],
) -> Transferred:
    results = run.results
    if "teachers" in results or results["guard"] or results.get("part", "all") != "all" or not results["epochs"]:
        raise LeftOut("it is not one teacher's transfer into the whole student")
    try:
        used = OmegaConf.load(run.folder / "config.yaml")
    except (OSError, OmegaConfBaseException) as error:
        raise LeftOut(f"its config.yaml cannot be read ({error})") from error
    if OmegaConf.select(used, "identity.data") != dataset.identity:
        raise LeftOut("it is on other data")
    for key in SAME_DATA:
        if OmegaConf.select(used, f"data.{key}") != config.data[key]:
            raise LeftOut(f"it has data.{key}={OmegaConf.select(used, f'data.{key}')}, not {config.data[key]}")
    own = method(results["method"])
    for part in PARTS:
        if _plain(used, part) != _plain(own, part):
            raise LeftOut(f"its {part} has other options")
    models = results["models"]
    student, teacher = (_model(role, models[role], used, dataset, at_hand, ready) for role in ("student", "teacher"))
    return Transferred(run.folder, student, teacher, results["method"], results["transfer_delta"])


def _plain(config: Any, part: str) -> Any:
    node = OmegaConf.select(config, part)
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


def _model(
    role: str,
    facts: Mapping[str, Any],
    used: Any,
    dataset: ImageDataset,
    at_hand: dict[Identity, Classifier],
    ready: Callable[[Classifier], Classifier],
) -> Classifier:
    labels = facts.get("labels", {})
    identity = facts["weights"], None if labels.get("sliced") else labels.get("identity")
    if identity not in at_hand:
        model, provenance = locate(_spec(facts, OmegaConf.select(used, role)), Zoo(), dataset.identity)
        classifier = build_classifier(
            model,
            provenance,
            class_names=dataset.class_names,
            wnids=dataset.wnids,
            data_identity=dataset.identity,
            learns=labels.get("sliced", False),
        ).freeze()
        if classifier.weights_hash() != facts["weights"]:
            raise LeftOut(f"the weights of {facts['name']} in {model.checkpoint} are others now")
        ready(classifier)
        if classifier.identity() != identity:
            raise LeftOut(f"the classes of {facts['name']} were mapped in another way")
        at_hand[identity] = classifier
    return at_hand[identity]


def _spec(facts: Mapping[str, Any], used: Mapping[str, Any]) -> ModelConfig:
    """Return how to find a model of a run again, by its facts and its options there."""
    origin = facts["provenance"] or {}
    places = {"zoo": ZOO_PREFIX, "checkpoint": ""}
    if origin.get("source") not in places:
        raise LeftOut(f"the weights of {facts['name']} are in no file or zoo")
    size = facts["input_size"]
    options = {name: facts[name] for name in PREPROCESSING if name != "img_size"}
    options |= {name: used[name] for name in ("labels", "label_map") if name in used}
    checkpoint = places[origin["source"]] + origin["location"]
    return ModelConfig(facts["name"], facts["architecture"], checkpoint, size and size[-1], **options)
