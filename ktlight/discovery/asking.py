"""What many models say of the same images, one model in memory at a time."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from ktlight.answers.ask import ask
from ktlight.answers.stored import OutputStore
from ktlight.data.datamodule import ImageDataModule
from ktlight.data.ordered import OrderedView
from ktlight.discovery.similarity import Confusions, Similarities
from ktlight.errors import UserError
from ktlight.functional.confidence import log_odds
from ktlight.models.classifier import Classifier
from ktlight.models.facts import model_facts
from ktlight.models.label_words import labels_in_words

logger = logging.getLogger(__name__)

PROBABILITY_BUDGET = 2**29
"""Bytes that all models' probabilities may take; beyond, the mean probability of pairs is not measured."""


class Unusable(Exception):  # noqa: N818  (what the model is)
    """A model that cannot be loaded, or whose answers cannot be used; the message says why."""


@dataclass(frozen=True)
class Candidate:
    """A model to ask.

    Attributes:
        name: Unique among the candidates.
        load: Loads it.
        baseline: Whether it is randomly initialised.
    """

    name: str
    load: Callable[[], Classifier]
    baseline: bool = False


@dataclass(frozen=True)
class Said:
    """What one model says of all samples, N of them.

    Attributes:
        facts: Its row of ``models.parquet``, without its accuracy.
        prediction: Predicted classes, ``int32 [N]``.
        confidence: Log-odds of the predicted class, ``float32 [N]``.
        probability: All probabilities, ``float32 [N, C]``; None if those of all models take too much memory.
    """

    facts: dict[str, Any]
    prediction: Tensor
    confidence: Tensor
    probability: Tensor | None

    @property
    def name(self) -> str:
        """Its unique name."""
        return str(self.facts["model"])


@dataclass(frozen=True)
class Asked:
    """What all models say.

    Attributes:
        images: The images, in the framing of one of the models.
        models: The answers of each model.
        failed: ``model`` and ``reason`` of those that gave none.
        similarities: How similar classes are to the models, ``[C, C]`` by name.
    """

    images: OrderedView
    models: list[Said]
    failed: list[dict[str, str]]
    similarities: dict[str, Tensor]

    @property
    def names(self) -> list[str]:
        """Names of the models."""
        return [model.name for model in self.models]

    @property
    def baseline(self) -> str | None:
        """Name of the randomly initialised one, which comes last."""
        return next((model.name for model in self.models if model.facts["baseline"]), None)


def ask_models(candidates: Sequence[Candidate], data: ImageDataModule, outputs: OutputStore, labelled: bool) -> Asked:
    """Ask every model about the test images; those that cannot be loaded or give no numbers are left out, and named.

    Args:
        candidates: The models. One with the weights, preprocessing and classes of an earlier one is left out too.
        data: Its test images are the samples.
        outputs: The store, and where models run.
        labelled: Whether the labels may be used.

    Raises:
        UserError: If fewer than two are left, an image cannot be read, or the store fails.
    """
    num_classes = data.dataset.num_classes
    similarities = Similarities(num_classes, labelled)
    keep = 4 * len(candidates) * data.num_eval * num_classes <= PROBABILITY_BUDGET
    answered: dict[tuple[str, str | None, str], Said] = {}
    failed: list[dict[str, str]] = []
    images: OrderedView | None = None
    for candidate in tqdm(candidates, "Models", unit="models", disable=not outputs.progress, leave=False):
        try:
            classifier = _loaded(candidate, {key: said.name for key, said in answered.items()})
            images = data.test_images(classifier.framing)
            answered[_identity(classifier)] = _said(candidate, classifier, images, outputs, similarities, keep)
        except Unusable as error:
            logger.warning("Left out: %s: %s", candidate.name, error)
            failed.append({"model": candidate.name, "reason": str(error)})
    if images is None or len(answered) < 2:
        reasons = "".join(f"\n  {each['model']}: {each['reason']}" for each in failed)
        raise UserError(f"only {len(answered)} of {len(candidates)} models can be asked, and two are needed:{reasons}")
    return Asked(images, list(answered.values()), failed, similarities.mean())


def _loaded(candidate: Candidate, answered: Mapping[tuple[str, str | None, str], str]) -> Classifier:
    try:
        classifier = candidate.load().freeze()
    except UserError as error:
        raise Unusable(str(error)) from error
    if twin := answered.get(_identity(classifier)):
        raise Unusable(f"it has the weights and the preprocessing of {twin}")
    return classifier


def _identity(classifier: Classifier) -> tuple[str, str | None, str]:
    return *classifier.identity(), repr(classifier.preprocess)


def _said(
    candidate: Candidate, classifier: Classifier, images: OrderedView, outputs: OutputStore,
    similarities: Similarities, keep: bool,
) -> Said:  # fmt: skip
    labels = torch.from_numpy(images.labels)
    confusions = Confusions(classifier.num_classes) if similarities.wanted and not candidate.baseline else None
    predictions, confidences, probabilities, start = [], [], [], 0
    for logits_BC in ask(classifier, images, outputs):
        if not logits_BC.isfinite().all():
            raise Unusable("its logits are not finite: are its weights damaged?")
        probability_BC = logits_BC.softmax(1)
        predictions.append(logits_BC.argmax(1).int())
        confidences.append(log_odds(logits_BC[None])[0])
        if confusions:
            confusions.add(probability_BC, labels[start : start + len(logits_BC)])
        if keep:
            probabilities.append(probability_BC)
        start += len(logits_BC)
    if confusions:
        similarities.add(classifier, confusions.mean())
    probability = torch.cat(probabilities) if keep else None
    return Said(_facts(candidate, classifier), torch.cat(predictions), torch.cat(confidences), probability)


def _facts(candidate: Candidate, classifier: Classifier) -> dict[str, Any]:
    facts, provenance = model_facts(classifier), classifier.provenance
    return {
        "model": candidate.name,
        "num_params": facts["parameters"],
        "architecture": facts["architecture"],
        "family": facts["family"],
        "weights": facts["weights"],
        "labels": labels_in_words(facts["labels"]) or None,
        "provenance": str(replace(provenance, trained_now=False)) if provenance else "randomly initialised",
        "baseline": candidate.baseline,
        "reason": None,
    }
