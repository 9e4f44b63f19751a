"""The tables of a discovery, as columns of names and numbers."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from ktlight.discovery.asking import Asked
from ktlight.discovery.classes import ClassSets, class_blocks
from ktlight.discovery.compare import AllAnswers, Figures
from ktlight.discovery.examples import clearest_flips
from ktlight.functional.class_flips import ClassGroup, Expertise
from ktlight.report.discovery import SCHEMAS, named


def model_columns(asked: Asked, acc: Sequence[float | None]) -> dict[str, Any]:
    """Return the columns of ``models.parquet``: the models that were asked, then the others with the reason."""
    rows: list[Mapping[str, Any]] = [
        *({**said.facts, "acc": figure} for said, figure in zip(asked.models, acc, strict=True)),
        *asked.failed,
    ]
    return {field.name: [row.get(field.name) for row in rows] for field in SCHEMAS["models"]}


def pair_columns(names: Sequence[str], class_names: Sequence[str], figures: Figures, top: ClassSets) -> dict[str, Any]:
    """Return the columns of ``pairs.parquet``, a row an ordered pair of different models."""
    models = len(names)
    apart = ~torch.eye(models, dtype=torch.bool)
    teachers, students = apart.nonzero().T
    missing = torch.full((models, models), torch.nan, dtype=torch.float64)
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), top.sizes[apart].cumsum(0)]).int()
    columns: dict[str, Any] = {
        "teacher": named(teachers.numpy(), names),
        "student": named(students.numpy(), names),
        "top20_classes": pa.ListArray.from_arrays(pa.array(offsets.numpy()), named(top.classes.numpy(), class_names)),
    }
    for field in SCHEMAS["pairs"]:
        if field.name not in columns:
            columns[field.name] = figures.get(field.name, missing)[apart].numpy()
    return columns


def class_columns(
    right_by_class: Sequence[ClassGroup], names: Sequence[str], class_names: Sequence[str], expert_MC: Tensor
) -> Iterator[dict[str, Any]]:
    """Yield the columns of ``classes.parquet`` in blocks of teachers, a row a pair and class with positive flips."""
    for teachers, counts_TMC in class_blocks(right_by_class):
        teacher, student, label = counts_TMC.nonzero().T
        yield {
            "teacher": named((teacher + teachers.start).numpy(), names),
            "student": named(student.numpy(), names),
            "class": named(label.numpy(), class_names),
            "class_index": label.numpy(),
            "positive_flips": counts_TMC[teacher, student, label].numpy(),
            "expertise": expert_MC[teacher + teachers.start, label].numpy(),
        }


def expertise_columns(found: Expertise, names: Sequence[str], class_names: Sequence[str]) -> dict[str, Any]:
    """Return the columns of ``expertise.parquet``, a row a model and class."""
    model, label = torch.ones_like(found.expert).nonzero().T
    return {
        "model": named(model.numpy(), names),
        "class": named(label.numpy(), class_names),
        "class_index": label.numpy(),
        "acc": found.acc.flatten().numpy(),
        "excess": found.excess.flatten().numpy(),
        "p_value": found.p_value.flatten().numpy(),
        "expertise": found.expert.flatten().numpy(),
    }


def example_columns(answers: AllAnswers, names: Sequence[str]) -> tuple[dict[str, Any], list[int]]:
    """Return the columns of ``examples.parquet``, and its rows of images in the order in which to show them.

    The first example of every pair comes before any second one, and those of the pairs in which the teacher is surest
    in comparison come first.
    """
    found: list[tuple[Tensor, ...]] = []
    for number, places_MK, flips_MK in clearest_flips(answers):
        student, rank = flips_MK.nonzero().T
        places = places_MK[student, rank]
        surer = answers.confidence[number, places] - answers.confidence[student, places]
        found.append((torch.full_like(student, number), student, answers.index[places], rank, surer))
    teacher, student, index, rank, surer = (torch.cat(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((-surer.numpy(), rank.numpy()))
    columns = {
        "teacher": named(teacher.numpy(), names),
        "student": named(student.numpy(), names),
        "index": index.numpy(),
    }
    return columns, list(dict.fromkeys(index.numpy()[order].tolist()))


def prediction_columns(asked: Asked, answers: AllAnswers) -> dict[str, Tensor]:
    """Return the columns of ``predictions.parquet``."""
    labels = {} if answers.label is None else {"label": answers.label}
    said = {said.name: said.prediction for said in asked.models}
    sure = {f"{said.name}_confidence": said.confidence for said in asked.models}
    return {"index": answers.index, **labels, **said, **sure}
