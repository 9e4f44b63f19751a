"""Where the positive flips of all pairs lie: figures over classes, in blocks of teachers."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ktlight.discovery.compare import Figures
from ktlight.discovery.relatedness import RelatedClasses
from ktlight.functional.class_flips import ClassGroup, class_flips, teacher_blocks, top_class_sets
from ktlight.functional.statistics import class_entropy
from ktlight.report.discovery import TOP_PERCENTS

LISTED = TOP_PERCENTS.index(20)
"""The top-p% classes that ``pairs.parquet`` lists."""


class ClassSets(NamedTuple):
    """A set of classes for every ordered pair.

    Attributes:
        classes: The classes of all sets, those of a pair ascending, one pair after another.
        sizes: Number of classes of each pair, ``[M, M]``.
    """

    classes: Tensor
    sizes: Tensor

    def of(self, teacher: int, student: int) -> list[int]:
        """Return the classes of one pair."""
        place = teacher * len(self.sizes) + student
        start = int(self.sizes.flatten()[:place].sum())
        return self.classes[start : start + int(self.sizes[teacher, student])].tolist()


class ClassFigures(NamedTuple):
    """Where the positive flips lie.

    Attributes:
        figures: Entropy and the number of top-p% classes of every ordered pair.
        top: The top-20% classes.
        relatedness: Their relatedness, ``[M, M]``.
    """

    figures: Figures
    top: ClassSets
    relatedness: Tensor


def class_figures(right_by_class: Sequence[ClassGroup], related: RelatedClasses) -> ClassFigures:
    """Return where the positive flips of all pairs lie.

    Args:
        right_by_class: Result of `ktlight.functional.class_flips.by_class`.
        related: Collects how related the top classes are.
    """
    entropies, sizes, listed, relatedness = [], [], [], []
    for teachers, counts_TMC in class_blocks(right_by_class):
        tops = top_class_sets(counts_TMC, TOP_PERCENTS)
        entropies.append(class_entropy(counts_TMC))
        sizes.append(torch.stack([top.size for top in tops]))
        listed.append(tops[LISTED].mask.nonzero()[:, -1])
        relatedness.append(related.add(counts_TMC, teachers))
    sizes_PMM = torch.cat(sizes, 1)
    numbers = {
        f"num_top{percent}_classes": size.double() for percent, size in zip(TOP_PERCENTS, sizes_PMM, strict=True)
    }
    entropy = torch.cat(entropies)
    some = sizes_PMM[0] > 0
    return ClassFigures(
        {"flip_entropy": entropy.where(some, torch.nan), **numbers},
        ClassSets(torch.cat(listed), sizes_PMM[LISTED]),
        torch.cat(relatedness),
    )


def class_blocks(right_by_class: Sequence[ClassGroup]) -> Iterator[tuple[slice, Tensor]]:
    """Yield blocks of teachers and their positive flips over all students by class, ``int32 [T, M, C]``."""
    classes = sum(len(group.classes) for group in right_by_class)
    for teachers in teacher_blocks(right_by_class[0].right.shape[1], classes):
        yield teachers, class_flips(right_by_class, teachers)


def chance(labels: Tensor, num_classes: int, flips: int, draws: int, seed: int) -> Figures:
    """Return the same figures of as many samples drawn at random, averaged over draws, as ``[]``.

    A few flips lie in a few classes whatever they are; only what goes beyond that is concentration.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.stack([torch.randperm(len(labels), generator=generator)[:flips] for _ in range(draws)])
    counts_DC = torch.stack([torch.bincount(labels[rows], minlength=num_classes) for rows in drawn])
    tops = top_class_sets(counts_DC, TOP_PERCENTS)
    return {
        "flip_entropy": class_entropy(counts_DC).mean(),
        **{
            f"num_top{percent}_classes": top.size.double().mean()
            for percent, top in zip(TOP_PERCENTS, tops, strict=True)
        },
    }
