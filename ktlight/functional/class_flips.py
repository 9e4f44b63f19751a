"""In which classes a model knows what others do not: flips of all pairs class by class, top classes, expertise.

M is the number of models, T that of teachers in a block, C that of classes, as in `ktlight.functional.pairwise`.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BLOCK = 2**21
"""Counts of classes that are in memory at once; measured faster than blocks twice or a quarter as large."""


class ClassGroup(NamedTuple):
    """The samples of G classes that have equally many, so that one product serves all of them.

    Attributes:
        classes: The classes, ``int64 [G]``.
        right: Whether each model is right on each sample of each class, ``float32 [G, M, samples of a class]``.
    """

    classes: Tensor
    right: Tensor


def by_class(right_MN: Tensor, labels_N: Tensor, num_classes: int) -> list[ClassGroup]:
    """Return which model is right on which sample, class by class."""
    sizes_C = torch.bincount(labels_N, minlength=num_classes)
    ordered = torch.split(right_MN[:, labels_N.argsort(stable=True)], sizes_C.tolist(), 1)
    groups = [(sizes_C == size).nonzero()[:, 0] for size in set(sizes_C.tolist())]
    return [ClassGroup(classes, torch.stack([ordered[each] for each in classes]).float()) for classes in groups]


def class_flips(right_by_class: Sequence[ClassGroup], teachers: slice) -> Tensor:
    """Return the positive flips of some teachers over all students, class by class.

    Args:
        right_by_class: Result of :func:`by_class`.
        teachers: Which models are the teachers, T of them.

    Returns:
        The counts, ``int32 [T, M, C]``.
    """
    models, classes = right_by_class[0].right.shape[1], sum(len(group.classes) for group in right_by_class)
    counts_TMC = torch.empty(len(range(models)[teachers]), models, classes, dtype=torch.int32)
    for group in right_by_class:
        taught_GTn = group.right[:, teachers]
        flips_GTM = taught_GTn.sum(2, keepdim=True) - taught_GTn @ group.right.transpose(1, 2)
        counts_TMC[..., group.classes] = flips_GTM.permute(1, 2, 0).int()
    return counts_TMC


def teacher_blocks(models: int, classes: int) -> Iterator[slice]:
    """Yield the blocks of teachers whose counts of classes are in memory at once."""
    size = max(1, BLOCK // (models * classes))
    for start in range(0, models, size):
        yield slice(start, min(start + size, models))


class TopClasses(NamedTuple):
    """The top-p% classes of many pairs, for one p.

    Attributes:
        mask: Which classes they are, ``bool [..., C]``.
        size: How many, ``int64 [...]``.
    """

    mask: Tensor
    size: Tensor


def top_class_sets(counts_XC: Tensor, percents: Sequence[int]) -> list[TopClasses]:
    """Return the top-p% classes of many pairs: the fewest that together hold at least p% of a pair's positive flips.

    The same as `ktlight.functional.statistics.top_classes`, ten times as fast: count and class are sorted as one
    number, and the last class that is needed divides all others.

    Args:
        counts_XC: Positive flips of each class, integers ``[..., C]``.
        percents: The values of p.
    """
    classes = counts_XC.shape[-1]
    largest = max(classes * int(counts_XC.max()), 100 * int(counts_XC.sum(-1).max()))
    dtype: Any = np.int32 if largest < np.iinfo(np.int32).max else np.int64
    keys: NDArray[Any] = np.arange(classes, dtype=dtype) - counts_XC.numpy().astype(dtype) * dtype(classes)
    rising = np.sort(keys, axis=-1)  # the largest count comes first, of equal ones the lower class
    held = (-100 * (rising // dtype(classes))).cumsum(-1, dtype=dtype)
    tops = []
    for percent in percents:
        needed = percent * (held[..., -1:] // 100)
        last = np.count_nonzero(held < needed, axis=-1, keepdims=True)
        mask = (keys <= np.take_along_axis(rising, last, -1)) & (needed > 0)
        size = np.where(needed > 0, last + 1, 0)[..., 0]
        tops.append(TopClasses(torch.from_numpy(mask), torch.from_numpy(size)))
    return tops


class Expertise(NamedTuple):
    """What each model is good at beyond a class being easy, ``[M, C]`` each.

    Attributes:
        acc: Accuracy in the class, in percent; NaN where a class has no samples.
        excess: The same minus its mean over the models, in points.
        p_value: That the excess is zero, adjusted for the number of classes (Benjamini and Hochberg, 1995).
        expert: Whether the model is better than the models are on average, with that false discovery rate.
    """

    acc: Tensor
    excess: Tensor
    p_value: Tensor
    expert: Tensor


def expertise(right_by_class: Sequence[ClassGroup], false_discovery_rate: float = 0.05) -> Expertise:
    """Return in which classes each model is better than the models are on average.

    A sample counts as whether the model is right minus the share of the models that are; the p-value is that of a
    normal mean, with two opposite samples added as in the interval of Bonett and Price (2012), since classes are small.

    Args:
        right_by_class: Result of :func:`by_class`.
        false_discovery_rate: Expected share of wrong ones among a model's classes of expertise.
    """
    from scipy.stats import false_discovery_control  # half a second to import

    classes, models = sum(len(group.classes) for group in right_by_class), right_by_class[0].right.shape[1]
    acc_MC, excess_MC, raw_MC = torch.empty(3, models, classes, dtype=torch.float64)
    largest = (models - 1) / models
    for group in right_by_class:
        count = group.right.shape[2]
        beyond_GMn = (group.right - group.right.mean(1, keepdim=True)).double()
        mean_GM = beyond_GMn.sum(2) / (count + 2)
        error_GM = (((beyond_GMn**2).sum(2) + 2 * largest**2) / (count + 2) - mean_GM**2).div(count + 2).sqrt()
        acc_MC[:, group.classes] = 100 * group.right.double().mean(2).T
        excess_MC[:, group.classes] = 100 * beyond_GMn.mean(2).T
        raw_MC[:, group.classes] = torch.special.erfc((mean_GM / error_GM).nan_to_num(0).abs() / 2**0.5).T
    p_value_MC = torch.from_numpy(false_discovery_control(raw_MC.numpy(), axis=1))
    expert_MC = (p_value_MC <= false_discovery_rate) & (excess_MC > 0)
    return Expertise(acc_MC, excess_MC, p_value_MC, expert_MC)
