"""In which classes a model knows what others do not: flips of all pairs class by class, top classes, expertise.

M is the number of models, T that of teachers in a block, C that of classes, as in `ktlight.functional.pairwise`.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BLOCK = 2**22
"""Counts of classes that are in memory at once; measured faster than blocks twice or a quarter as large."""


def by_class(right_MN: Tensor, labels_N: Tensor, num_classes: int) -> list[Tensor]:
    """Return the columns of each class, ``float32 [M, samples of the class]``."""
    order_N = labels_N.argsort(stable=True)
    sizes = torch.bincount(labels_N, minlength=num_classes).tolist()
    return list(torch.split(right_MN[:, order_N].float(), sizes, 1))


def class_flips(right_by_class: Sequence[Tensor], teachers: slice) -> Tensor:
    """Return the positive flips of some teachers over all students, class by class.

    Args:
        right_by_class: Result of :func:`by_class`.
        teachers: Which models are the teachers, T of them.

    Returns:
        The counts, ``int32 [T, M, C]``.
    """
    counts_CTM = torch.stack([right[teachers] @ (1 - right).T for right in right_by_class])
    return counts_CTM.int().permute(1, 2, 0).contiguous()


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


def expertise(right_by_class: Sequence[Tensor], false_discovery_rate: float = 0.05) -> Expertise:
    """Return in which classes each model is better than the models are on average.

    A sample counts as whether the model is right minus the share of the models that are; the p-value is that of a
    normal mean, with two opposite samples added as in the interval of Bonett and Price (2012), since classes are small.

    Args:
        right_by_class: Result of :func:`by_class`.
        false_discovery_rate: Expected share of wrong ones among a model's classes of expertise.
    """
    from scipy.stats import false_discovery_control  # half a second to import

    models = len(right_by_class[0])
    largest = (models - 1) / models
    acc, excess, p_value = [], [], []
    for right in right_by_class:
        count = right.shape[1]
        beyond = (right - right.mean(0)).double()
        mean_M = beyond.sum(1) / (count + 2)
        error_M = (((beyond**2).sum(1) + 2 * largest**2) / (count + 2) - mean_M**2).div(count + 2).sqrt()
        acc.append(100 * right.double().mean(1))
        excess.append(100 * beyond.mean(1))
        p_value.append(torch.special.erfc((mean_M / error_M).nan_to_num(0).abs() / 2**0.5))
    excess_MC, raw_MC = torch.stack(excess, 1), torch.stack(p_value, 1)
    p_value_MC = torch.from_numpy(false_discovery_control(raw_MC.numpy(), axis=1))
    expert = (p_value_MC <= false_discovery_rate) & (excess_MC > 0)
    return Expertise(torch.stack(acc, 1), excess_MC, p_value_MC, expert)
