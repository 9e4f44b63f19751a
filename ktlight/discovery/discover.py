"""A whole discovery: from what the models say to the files in its folder."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ktlight.data.dataset import ImageDataset
from ktlight.data.thumbnails import BUDGET, thumbnails
from ktlight.discovery.asking import Asked
from ktlight.discovery.classes import ClassSets, class_figures
from ktlight.discovery.compare import (
    Figures,
    agreement_figures,
    flip_figures,
    mean_ensemble,
    side_by_side,
)
from ktlight.discovery.findings import best_pairs, concentration, coverage, duplicates, experts
from ktlight.discovery.relatedness import RelatedClasses
from ktlight.discovery.summary import summary
from ktlight.discovery.tables import (
    class_columns,
    example_columns,
    expertise_columns,
    model_columns,
    pair_columns,
    prediction_columns,
)
from ktlight.functional.class_flips import by_class, expertise
from ktlight.report.discovery import write_facts, write_table
from ktlight.report.discovery_facts import DISCOVERY, Facts
from ktlight.report.folder import RunFolder


@dataclass(frozen=True)
class Options:
    """What is asked of a discovery.

    Attributes:
        evaluated_on: ``val`` or ``holdout``.
        labels: Whether the labels may be used.
        chosen: How many models that complement each other to choose.
        resamples: If not 0, intervals of positive flips come from so many resamples of the images.
        seed: Of everything drawn at random.
        images: Whether thumbnails of example images are kept, for the page.
        similarities: Similarities of classes by name, ``[C, C]``; the first is the one of ``pairs.parquet``.
    """

    evaluated_on: str
    labels: bool
    chosen: int
    resamples: int
    seed: int
    images: bool
    similarities: Mapping[str, Tensor]


def discover(asked: Asked, dataset: ImageDataset, options: Options, folder: Path) -> Facts:
    """Compare all models, write the tables and ``discovery.json`` to a folder, and return the facts."""
    discovery = Discovering(asked, dataset, options, folder)
    if options.labels:
        discovery.flips()
        discovery.classes()
        discovery.examples()
    return discovery.finish()


class Discovering:
    """The steps of a discovery; each adds to the figures and facts, and writes its tables."""

    def __init__(self, asked: Asked, dataset: ImageDataset, options: Options, folder: Path) -> None:
        self.asked, self.options, self.folder = asked, options, folder
        self.names, self.class_names = asked.names, list(dataset.class_names)
        self.models = len(self.names) - (asked.baseline is not None)
        self.answers = side_by_side(asked, dataset.num_classes, options.labels)
        self.figures: Figures = agreement_figures(self.answers)
        self.top = ClassSets(torch.arange(0), torch.zeros(len(self.names), len(self.names), dtype=torch.int64))
        self.facts = nothing_known(asked, dataset, options)

    def flips(self) -> None:
        """Add flips, ensembles, and the models that complement each other."""
        self.figures |= flip_figures(self.answers, self.options.resamples, self.options.seed)
        self.figures["acc_ensemble_mean"] = mean_ensemble(self.asked, self.answers)
        right_MN = self.answers.right[: self.models]
        self.facts["coverage"] = coverage(right_MN, self.names, self.options.chosen)
        self.facts["coverage_of_all"] = 100 * float(right_MN.any(0).double().mean())

    def classes(self) -> None:
        """Add where the flips lie, how related those classes are, and what each model is good at."""
        assert self.answers.label is not None
        right_by_class = by_class(self.answers.right, self.answers.label, self.answers.num_classes)
        related = RelatedClasses(self.options.similarities, self.models, self.options.seed)
        found = class_figures(right_by_class, related)
        self.figures |= {**found.figures, "relatedness": found.relatedness}
        self.top = found.top
        expert = expertise([group._replace(right=group.right[:, : self.models]) for group in right_by_class])
        inner = {name: matrix[: self.models, : self.models] for name, matrix in self.figures.items()}
        self.facts["concentration"] = concentration(inner, self.answers, self.options.seed)
        self.facts["relatedness"] = related.facts(self.class_names)
        self.facts["expertise"] = experts(expert, self.names[: self.models], self.class_names)
        self.facts["best_pairs"] = best_pairs(self.figures, self.names[: self.models], self.class_names, found.top)
        expert_MC = torch.nn.functional.pad(expert.expert, (0, 0, 0, len(self.names) - self.models))
        write_table(self.folder, "classes", class_columns(right_by_class, self.names, self.class_names, expert_MC))
        write_table(self.folder, "expertise", [expertise_columns(expert, self.names, self.class_names)])

    def examples(self) -> None:
        """Write the examples and their thumbnails."""
        columns, rows = example_columns(self.answers, self.names)
        images, missing = thumbnails(self.asked.images.reader.table, rows if self.options.images else [])
        write_table(self.folder, "examples", [columns])
        write_table(self.folder, "images", [{"index": list(images), "jpeg": list(images.values())}])
        size = sum(map(len, images.values()))
        self.facts["images"] = {"count": len(images), "bytes": size, "budget": BUDGET, "missing": missing}

    def finish(self) -> Facts:
        """Write what is known of models and pairs, and the facts last; tables that need labels are empty without."""
        for name in () if self.options.labels else ("classes", "expertise", "examples", "images"):
            write_table(self.folder, name, [])
        acc = self.figures["acc_teacher"][:, 0].tolist() if self.options.labels else [None] * len(self.names)
        RunFolder(self.folder).write_predictions(prediction_columns(self.asked, self.answers))
        write_table(self.folder, "models", [model_columns(self.asked, acc)])
        write_table(self.folder, "pairs", [pair_columns(self.names, self.class_names, self.figures, self.top)])
        self.facts["duplicates"], self.facts["duplicate_threshold"] = duplicates(self.figures, self.names)
        self.facts["summary"] = summary(self.facts, self.figures, self.models)
        write_facts(self.folder, self.facts)
        return self.facts


def nothing_known(asked: Asked, dataset: ImageDataset, options: Options) -> Facts:
    """Return what is known of a discovery before anything is compared."""
    resampled = f"{options.resamples} resamples of the images, percentiles"
    return {
        "schema": DISCOVERY,
        "data": dataset.name,
        "evaluated_on": options.evaluated_on,
        "labels": options.labels,
        "num_eval": len(asked.images.rows),
        "class_names": list(dataset.class_names),
        "named_classes": dataset.has_names,
        "models": asked.names,
        "baseline": asked.baseline,
        "failed": asked.failed,
        "intervals": resampled if options.resamples else "Wilson's score interval",
        "best_pairs": [],
        "concentration": None,
        "coverage": [],
        "coverage_of_all": None,
        "duplicates": [],
        "duplicate_threshold": 0.0,
        "expertise": [],
        "relatedness": {},
        "images": {"count": 0, "bytes": 0, "budget": BUDGET, "missing": 0},
        "summary": [],
    }
