import math

import pytest
import torch
from hypothesis import given

from ktlight.functional.flips import (
    complementary_knowledge,
    knowledge_gain,
    knowledge_loss,
    prediction_flips,
    transfer_rate,
)

from .examples import predictions


def share(flags):
    flags = list(flags)
    return 100 * sum(flags) / len(flags)


@given(predictions(models=2))
def test_flips_equal_their_definition(case):
    rows = list(zip(*(column.tolist() for column in case), strict=True))
    positive_B, negative_B, neutral_B = prediction_flips(*case)
    assert positive_B.tolist() == [teacher == label != student for student, teacher, label in rows]
    assert negative_B.tolist() == [student == label != teacher for student, teacher, label in rows]
    assert neutral_B.tolist() == [(student == label) == (teacher == label) for student, teacher, label in rows]


@given(predictions(models=2))
def test_each_sample_is_exactly_one_kind_of_flip(case):
    masks_KB = torch.stack(prediction_flips(*case))
    assert masks_KB.dtype == torch.bool
    assert (masks_KB.sum(0) == 1).all()


@given(predictions(models=2))
def test_swapping_the_models_swaps_the_flips(case):
    student_B, teacher_B, labels_B = case
    positive_B, negative_B, neutral_B = prediction_flips(teacher_B, student_B, labels_B)
    for mask_B, swapped_B in zip(prediction_flips(*case), (negative_B, positive_B, neutral_B), strict=True):
        assert torch.equal(mask_B, swapped_B)


@given(predictions(models=2))
def test_gain_minus_loss_is_the_difference_in_accuracy(case):
    before_B, after_B, labels_B = case
    delta = share((after_B == labels_B).tolist()) - share((before_B == labels_B).tolist())
    assert (knowledge_gain(*case) - knowledge_loss(*case)).item() == pytest.approx(delta, abs=1e-12)


@given(predictions(models=3))
def test_summaries_equal_loops(case):
    before_B, teacher_B, after_B, labels_B = case
    rows = list(zip(*(column.tolist() for column in case), strict=True))
    positive = [(after, label) for before, teacher, after, label in rows if teacher == label != before]
    rate = transfer_rate(*case).item()
    assert math.isnan(rate) if not positive else rate == share(after == label for after, label in positive)
    assert complementary_knowledge(before_B, teacher_B, labels_B).item() == 100 * len(positive) / len(rows)
    assert knowledge_gain(before_B, after_B, labels_B).item() == share(r[0] != r[3] == r[2] for r in rows)
    assert knowledge_loss(before_B, after_B, labels_B).item() == share(r[0] == r[3] != r[2] for r in rows)


@given(predictions(models=2))
def test_an_unchanged_student_gains_and_loses_nothing(case):
    before_B, teacher_B, labels_B = case
    assert knowledge_gain(before_B, before_B, labels_B) == knowledge_loss(before_B, before_B, labels_B) == 0
    assert transfer_rate(before_B, teacher_B, before_B, labels_B).nan_to_num() == 0


@given(predictions(models=2))
def test_a_student_that_became_the_teacher_has_all_of_its_knowledge(case):
    before_B, teacher_B, labels_B = case
    rate = transfer_rate(before_B, teacher_B, teacher_B, labels_B)
    assert rate.isnan() or rate == 100
    assert knowledge_gain(before_B, teacher_B, labels_B) == complementary_knowledge(before_B, teacher_B, labels_B)
