"""Flips of all pairs class by class equal loops over classes and samples."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ktlight.functional import class_flips as module
from ktlight.functional.class_flips import by_class, class_flips, expertise, teacher_blocks, top_class_sets
from ktlight.functional.flips import prediction_flips
from ktlight.functional.pairwise import count_pairs
from ktlight.functional.statistics import class_counts, class_entropy, top_classes

from .test_pairwise import CLASSES, MODELS, random_answers


@pytest.mark.parametrize("seed", range(3))
def test_counts_of_blocks_equal_those_of_every_pair(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    predictions, labels = random_answers(seed)
    classes = CLASSES + 1  # one without samples
    monkeypatch.setattr(module, "BLOCK", 2 * MODELS * classes)
    right = by_class(predictions == labels, labels, classes)
    blocks = list(teacher_blocks(MODELS, classes))
    assert [block.stop - block.start for block in blocks] == [2, 2, 1]
    counts = torch.cat([class_flips(right, block) for block in blocks])
    for teacher in range(MODELS):
        for student in range(MODELS):
            positive, _, _ = prediction_flips(predictions[student], predictions[teacher], labels)
            assert torch.equal(counts[teacher, student].long(), class_counts(positive, labels, classes))
            assert class_entropy(counts)[teacher, student] == class_entropy(counts[teacher, student])
    assert torch.equal(counts.sum(2).long(), count_pairs(predictions == labels).positive)


@given(st.lists(st.lists(st.integers(0, 9), min_size=3, max_size=3), min_size=1, max_size=5))
def test_top_classes_of_many_pairs_are_those_of_each(rows: list[list[int]]) -> None:
    counts = torch.tensor(rows, dtype=torch.int32)
    for percent, tops in zip((1, 20, 50, 100), top_class_sets(counts, (1, 20, 50, 100)), strict=True):
        for row, mask, size in zip(counts, tops.mask, tops.size, strict=True):
            assert torch.equal(mask, top_classes(row.long(), percent)) and int(size) == int(mask.sum())


def test_large_counts_do_not_overflow() -> None:
    counts = torch.tensor([[2**30, 2**29, 1]], dtype=torch.int32)
    assert top_class_sets(counts, (60,))[0].mask.tolist() == [[True, False, False]]


def test_expertise_by_hand() -> None:
    # Two models, two classes of 8 samples: only the first knows class 0; both know half of class 1.
    labels = torch.arange(2).repeat_interleave(8)
    half = torch.arange(8) % 2 == 0
    right = torch.stack([torch.cat([half | True, half]), torch.cat([half & False, half])])
    found = expertise(by_class(right, labels, 2))
    assert found.acc.tolist() == [[100, 50], [0, 50]] and found.excess.tolist() == [[50, 0], [-50, 0]]
    # samples of +1/2 each, with +1/2 and -1/2 added: mean 0.4, variance 0.25 - 0.16, over 10
    z = 0.4 / (0.09 / 10) ** 0.5
    from scipy.stats import norm

    raw = 2 * norm.sf(z)
    assert found.p_value[0].tolist() == pytest.approx([2 * raw, 1.0])  # Benjamini-Hochberg of two
    assert found.expert.tolist() == [[True, False], [False, False]]


def test_chance_is_rarely_taken_for_expertise() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(100).repeat_interleave(50)
    right = torch.rand(20, len(labels), generator=generator) < 0.7
    found = expertise(by_class(right, labels, 100))
    assert int(found.expert.any(1).sum()) <= 3  # each of 20 models errs with a probability of at most 5%


def test_a_class_without_samples_has_no_expert() -> None:
    found = expertise(by_class(torch.ones(3, 4, dtype=torch.bool), torch.zeros(4, dtype=torch.int64), 2))
    assert found.acc[:, 1].isnan().all() and not found.expert.any()
