import math

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from ktlight.functional.randomness import ROUTING_STREAM, random_bits, random_uniform
from ktlight.functional.routing import (
    flip_sources,
    leave_out_negative,
    most_confident,
    random_sources,
    select_target,
)

from .examples import confidences, predictions, random_classes, random_logits


@pytest.mark.parametrize("supervised", [True, False])
@given(seed=st.integers(0, 10**6), sources=st.integers(1, 5), classes=st.integers(2, 12), scale=st.floats(0.1, 4))
def test_most_confident_equals_a_loop(supervised, seed, sources, classes, scale):
    logits_MBC = random_logits(seed, sources, 8, classes, scale=scale)
    labels_B = random_classes(seed, 8, classes) if supervised else None
    table = confidences(logits_MBC, labels_B)
    for sample, chosen in enumerate(most_confident(logits_MBC, labels_B).tolist()):
        column = [row[sample] for row in table]
        best, runner_up, *_ = *sorted(column, reverse=True), -1.0
        assume(best - runner_up > 1e-12)
        assert chosen == column.index(best)


@pytest.mark.parametrize("supervised", [True, False])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_ties_go_to_the_initial_student(supervised, dtype):
    logits_BC = random_logits(2, 64, 100, scale=8.0, dtype=dtype)
    labels_B = random_classes(2, 64, 100) if supervised else None
    assert most_confident(logits_BC.expand(4, -1, -1), labels_B).tolist() == [0] * 64


@pytest.mark.parametrize("labels_B", [None, torch.tensor([1])])
def test_shifted_logits_tie(labels_B):
    row = torch.tensor([-1.0, 4.0, 2.0, 0.5])
    logits_MBC = torch.stack([row, row + 3, row - 512])[:, None]
    assert most_confident(logits_MBC, labels_B).item() == 0


@pytest.mark.parametrize("labels_B", [None, torch.tensor([0])])
def test_saturated_probabilities_are_no_tie(labels_B):
    logits_MBC = torch.tensor([[[30.0, 0.0]], [[60.0, 0.0]]])
    assert logits_MBC.softmax(-1)[:, 0, 0].tolist() == [1.0, 1.0]
    assert most_confident(logits_MBC, labels_B).item() == 1


def test_vanished_probabilities_are_no_tie():
    logits_MBC = torch.tensor([[[400.0, 0.0]], [[300.0, 0.0]]])
    assert logits_MBC.softmax(-1)[:, 0, 1].tolist() == [0.0, 0.0]
    assert most_confident(logits_MBC, torch.tensor([1])).item() == 1


def test_equally_wrong_sources_are_told_apart_in_half_precision():
    logits_MBC = torch.tensor([[[60000.0, 0.0, -60000.0]], [[60000.0, 0.0, -59000.0]]], dtype=torch.float16)
    assert most_confident(logits_MBC, torch.tensor([2])).item() == 1


@given(seed=st.integers(0, 10**6), sources=st.integers(2, 5))
def test_the_order_of_the_teachers_does_not_matter(seed, sources):
    logits_MBC, labels_B = random_logits(seed, sources, 8, 5), random_classes(seed, 8, 5)
    order = torch.cat([torch.zeros(1, dtype=torch.int64), 1 + torch.randperm(sources - 1)])
    permuted_B = most_confident(logits_MBC[order], labels_B)
    assert torch.equal(order[permuted_B], most_confident(logits_MBC, labels_B))


def test_one_source_teaches_all():
    assert most_confident(random_logits(3, 1, 5, 4)).tolist() == [0] * 5


@pytest.mark.parametrize("neutral", [0, 1, 2])
@given(case=predictions(models=2))
def test_flip_sources_equal_a_loop(neutral, case):
    expected = []
    for student, teacher, label in zip(*(column.tolist() for column in case), strict=True):
        if student != label and teacher == label:
            expected.append(1)
        elif student == label and teacher != label:
            expected.append(0)
        else:
            expected.append(neutral)
    sources_B = flip_sources(*case, neutral=neutral)
    assert sources_B.tolist() == expected and sources_B.dtype == torch.int64


@given(case=predictions(models=2))
def test_leave_out_negative_equals_a_loop(case):
    expected = [
        -1 if student == label and teacher != label else 1
        for student, teacher, label in zip(*(column.tolist() for column in case), strict=True)
    ]
    sources_B = leave_out_negative(*case)
    assert sources_B.tolist() == expected and sources_B.dtype == torch.int64


@given(st.integers(0, 10**6), st.lists(st.integers(-1, 2), min_size=1, max_size=12))
def test_select_target_equals_a_loop(seed, sources):
    logits_MBC = random_logits(seed, 3, len(sources), 4)
    target_BC = select_target(logits_MBC, torch.tensor(sources))
    for sample, source in enumerate(sources):
        assert torch.equal(target_BC[sample], logits_MBC[0 if source == -1 else source, sample])


def test_select_target_gradient_and_dtype():
    source_B = torch.tensor([0, 1, -1])
    assert torch.autograd.gradcheck(lambda z: select_target(z, source_B), random_logits(4, 2, 3, 4).requires_grad_())
    assert select_target(torch.zeros(2, 3, 4, dtype=torch.bfloat16), source_B).dtype == torch.bfloat16


def test_the_unsupervised_choice_is_the_ensemble_of_the_more_confident():
    logits_MBC = torch.tensor([[[2.0, 0.0], [0.0, 1.0]], [[0.0, 3.0], [0.5, 0.0]]])
    target_BC = select_target(logits_MBC, most_confident(logits_MBC))
    assert target_BC.argmax(-1).tolist() == [1, 1]
    assert math.isclose(target_BC[1, 1].item(), 1.0)


@given(
    st.lists(st.integers(0, 10**7), min_size=1, max_size=12), st.integers(-1, 50), st.integers(0, 2**32 - 1),
    st.floats(0, 1), st.integers(1, 4),
)  # fmt: skip
def test_random_sources_are_drawn_for_each_row_alone(rows, view, seed, share, teachers):
    expected = []
    for row in rows:
        drawn = float(random_uniform(ROUTING_STREAM, seed, view, row, 0)[0]) < share
        expected.append(1 + int(random_bits(ROUTING_STREAM, seed, view, row, 1)[0]) % teachers if drawn else 0)
    source_B = random_sources(torch.tensor(rows), view, seed, share, teachers)
    assert source_B.tolist() == expected and source_B.dtype == torch.int64


@pytest.mark.parametrize("teachers", [1, 3])
def test_the_ends_of_the_share(teachers):
    rows = torch.arange(5000)
    assert (random_sources(rows, 0, 0, 0.0, teachers) == 0).all()
    assert (random_sources(rows, 0, 0, 1.0, teachers) >= 1).all()


def test_random_sources_keep_the_share_and_are_equally_often_any_teacher():
    counts = random_sources(torch.arange(30_000), 2, 5, 0.3, 3).bincount(minlength=4) / 30_000
    torch.testing.assert_close(counts, torch.tensor([0.7, 0.1, 0.1, 0.1]), rtol=0, atol=0.01)


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_only_adds_samples(one, other):
    few_B, many_B = (random_sources(torch.arange(200), 0, 1, share, 3) for share in sorted((one, other)))
    assert torch.equal(few_B[few_B > 0], many_B[few_B > 0])


def test_random_sources_change_with_seed_and_view():
    rows = torch.arange(200)
    assert (random_sources(rows, 0, 1, 0.5, 1) != random_sources(rows, 0, 2, 0.5, 1)).float().mean() > 0.3
    assert (random_sources(rows, 0, 1, 0.5, 1) != random_sources(rows, 1, 1, 0.5, 1)).float().mean() > 0.3


@pytest.mark.parametrize("labelled", [True, False])
def test_mass_multiplies_the_probabilities(labelled: bool) -> None:
    logits_MBC, mass_MB = torch.randn(3, 200, 5), torch.rand(3, 200)
    labels_B = torch.randint(5, (200,)) if labelled else None
    chosen = most_confident(logits_MBC, labels_B, mass_MB)
    for row in range(200):
        p_MC = logits_MBC[:, row].double().softmax(1)
        p_M = p_MC[:, labels_B[row]] if labels_B is not None else p_MC.amax(1)
        assert chosen[row] == (p_M * mass_MB[:, row]).argmax()
    assert torch.equal(most_confident(logits_MBC, labels_B, torch.ones(3, 200)), most_confident(logits_MBC, labels_B))
