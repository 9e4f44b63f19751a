"""Routers before any transfer, over all pairs of models: `python -m bench.routers a,b,c FILE OPTIONS...`.

OPTIONS are those of `run.py` for data and models. A rule is a line of the file: the options that choose it. What rules
learn comes from one half of the held-out training images, what is said of them from the other, both ways around.
The table is Markdown, its figures means over the pairs, differences from the first rule with their standard error:

- target: how much better than the initial student the target predicts the held-out images, in points of accuracy and in
  nats a sample. Rules that use labels choose by them here too, so compare them with each other only;
- first order: how fast the first step of the KL divergence from the target lowers the held-out loss, by the last layer
  alone, times 1000 (`ktlight.functional.scores`). Here labels say nothing of the held-out images.

The csv file has every pair, and the share of the training images, in percent, that the teacher gets. (Its mean over all
pairs is 50 where each of two models teaches what the other does not.) Pairs share models, so the errors are too small.
"""

import argparse
import csv
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import permutations
from math import sqrt
from pathlib import Path
from statistics import mean, stdev

import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from torch import Tensor
from torch.nn.functional import softmax

from ktlight.answers.stored import OutputStore
from ktlight.config.instantiate import make
from ktlight.config.location import config_directory
from ktlight.config.model_source import register_models
from ktlight.config.models import model_config
from ktlight.config.resolvers import register_resolvers
from ktlight.functional.scores import first_order_agreement, label_residual, target_headroom
from ktlight.models.classifier import Classifier
from ktlight.models.sources import LiveSource
from ktlight.report.folder import RunFolder
from ktlight.routing.rules import Routing, RoutingRule
from ktlight.stages.trained import trained_classifier
from ktlight.training.assemble import data_module, load_dataset
from ktlight.training.record import Run
from ktlight.types import Batch

TRAINING_ROWS = 2000
"""Training images that shares and the first order are measured on, spread over all."""


@dataclass(frozen=True)
class Said:
    """What a model says of images: logits ``[N, C]`` and features ``[N, D]``, and the labels ``[N]``."""

    logits_NC: Tensor
    features_ND: Tensor
    labels_N: Tensor

    def half(self, which: int) -> "Said":
        """Return every second image."""
        return Said(*(values[which::2] for values in (self.logits_NC, self.features_ND, self.labels_N)))


@dataclass(frozen=True)
class Line:
    """What is said of a rule for one pair of models."""

    rule: str
    student: str
    teacher: str
    target: float
    likelihood: float
    share: float
    first_order: float


def composed(*options: str) -> DictConfig:
    """Return the config of the options."""
    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        return compose("config", list(options))


def answers(model: str, options: Sequence[str], folder: Path) -> dict[str, Said]:
    """Return what a model says of the held-out images, plain, and of some training images, in their first view."""
    config = composed(*options, f"student={model}", f"teacher={model}")
    dataset = load_dataset(config)
    run = Run(config, RunFolder(folder / model))
    classifier = trained_classifier(config, "student", model_config(config.student), dataset, run).frozen_copy()
    data, outputs = data_module(config, dataset), OutputStore(config, "fill")
    seen = data.training_view(0)
    seen = replace(seen, rows=seen.rows[:: max(1, len(seen.rows) // TRAINING_ROWS)])
    views = {"held out": data.holdout_images(classifier.framing), "seen": seen}
    return {name: asked(classifier, view, outputs) for name, view in views.items()}


def asked(classifier: Classifier, view, outputs: OutputStore) -> Said:  # type: ignore[no-untyped-def]
    """Return what a model says of a view."""
    source = LiveSource("", classifier)
    with outputs.device.context():
        said = [source.logits_and_features(batch) for batch in view.batches()]
    logits_NC, features_ND = (torch.cat(each).float() for each in zip(*said, strict=True))
    return Said(logits_NC, features_ND, torch.from_numpy(view.labels))


def routed(rule: RoutingRule, sources: Sequence[Said]) -> Routing:
    """Return what a rule makes of images."""
    labels_N = sources[0].labels_N
    batch: Batch = {"image": labels_N, "label": labels_N, "index": torch.arange(len(labels_N)), "view": 0}
    return rule(torch.stack([each.logits_NC for each in sources]), batch, sources[0].logits_NC)


def judged(name: str, rule: RoutingRule, student: str, teacher: str, said: dict[str, dict[str, Said]]) -> Line:
    """Return what is said of a rule for a pair, the mean over both ways around."""
    pair, figures = [said[student], said[teacher]], []
    for which in (0, 1):
        fitted, fresh = ([each["held out"].half(half) for each in pair] for half in (which, 1 - which))
        rule.prepare(torch.stack([each.logits_NC for each in fitted]), fitted[0].labels_N)
        source_H, target_HC = routed(rule, fresh)
        own = fresh[0]
        source_B, target_BC = routed(rule, seen := [each["seen"] for each in pair])
        pull_BC = softmax(seen[0].logits_NC, 1) - softmax(target_BC, 1)
        agreement = first_order_agreement(
            pull_BC / len(pull_BC), seen[0].features_ND, label_residual(own.logits_NC, own.labels_N), own.features_ND
        )
        share = 100 * float((source_B > 0).float().mean())
        figures.append((*target_headroom(target_HC, source_H, own.logits_NC, own.labels_N), share, 1000 * agreement))
    return Line(name, student, teacher, *map(mean, zip(*figures, strict=True)))


def table(lines: Sequence[Line]) -> Iterator[str]:
    """Yield the lines of the table: means over the pairs, and differences from the first rule."""
    columns = ("target", "likelihood", "first_order")
    yield "| rule | target, points | target, nats | first order | against the first rule |"
    yield "|---|---|---|---|---|"
    rules = list(dict.fromkeys(line.rule for line in lines))
    of_rule = {rule: [line for line in lines if line.rule == rule] for rule in rules}
    for rule, own in of_rule.items():
        means = [mean(getattr(line, column) for line in own) for column in columns]
        more = [line.first_order - first.first_order for line, first in zip(own, of_rule[rules[0]], strict=True)]
        error = stdev(more) / sqrt(len(more)) if len(more) > 1 else 0.0
        yield "| {} | {:+.2f} | {:+.3f} | {:+.3f} | {:+.3f} ± {:.3f} |".format(rule, *means, mean(more), error)


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", help="names, with commas")
    parser.add_argument("rules", type=Path, help="file of rules; lines with # are skipped")
    parser.add_argument("--csv", type=Path, help="file for all pairs")
    options, run_options = parser.parse_known_args(given)
    register_models()
    register_resolvers()
    names = [line for line in options.rules.read_text().splitlines() if line and not line.startswith("#")]
    rules: dict[str, RoutingRule] = {name: make(composed(*name.split()).router) for name in names}
    with tempfile.TemporaryDirectory() as folder:
        said = {model: answers(model, run_options, Path(folder)) for model in options.models.split(",")}
    lines = [judged(name, rule, *pair, said) for pair in permutations(said, 2) for name, rule in rules.items()]
    if options.csv:
        with options.csv.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, [field.name for field in fields(Line)])
            writer.writeheader()
            writer.writerows(map(asdict, lines))
    print(f"{len(said)} models, {len(lines) // len(rules)} pairs", *table(lines), sep="\n")


if __name__ == "__main__":
    main()
