import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from ktlight.functional import relational
from ktlight.functional.losses import masked_mean
from ktlight.functional.relational import (
    angle_relation_per_sample,
    distance_relation_per_sample,
    relation_divergence_per_sample,
)

from .examples import random_logits, softmax

WIDTHS = (3, 6)


def example(seed: int, samples: int) -> tuple[Tensor, list[Tensor], Tensor]:
    generator = torch.Generator().manual_seed(seed)
    sources = [random_logits(seed + 1 + number, samples, width) for number, width in enumerate(WIDTHS)]
    return random_logits(seed, samples, 4), sources, torch.randint(-1, 2, (samples,), generator=generator)


def cosine(first: list[float], second: list[float]) -> float:
    product = sum(a * b for a, b in zip(first, second, strict=True))
    return product / math.sqrt(sum(a * a for a in first)) / math.sqrt(sum(b * b for b in second))


def one_sample(i: int, student: Tensor, sources: list[Tensor], source: list[int], temperature: float) -> float:
    others = [j for j in range(len(source)) if j != i and source[j] >= 0]
    if not others:
        return 0.0
    s, t = student.tolist(), sources[source[i]].tolist()
    p = softmax([cosine(t[i], t[j]) for j in others], temperature)
    q = softmax([cosine(s[i], s[j]) for j in others], temperature)
    return temperature**2 * sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


@given(st.integers(0, 10**6), st.integers(1, 9), st.sampled_from([0.1, 1.0, 4.0]))
def test_equals_a_double_loop(seed: int, samples: int, temperature: float) -> None:
    student, sources, source = example(seed, samples)
    loss_B = relation_divergence_per_sample(student, sources, source, temperature)
    for i in range(samples):
        if source[i] >= 0:
            expected = one_sample(i, student, sources, source.tolist(), temperature)
            assert loss_B[i].item() == pytest.approx(expected, abs=1e-9)


def test_gradients() -> None:
    student, sources, source = example(3, 6)
    assert (source == -1).any() and (source == 0).any() and (source == 1).any()

    def loss(student_BD: Tensor, *sources: Tensor) -> Tensor:
        return masked_mean(relation_divergence_per_sample(student_BD, sources, source, 0.5), source)

    assert torch.autograd.gradcheck(loss, [each.requires_grad_() for each in (student, *sources)])


def test_samples_left_out_take_no_part() -> None:
    student, sources, source = example(3, 6)
    student.requires_grad_()

    def loss(student_BD: Tensor, sources_MBD: list[Tensor], source_B: Tensor) -> Tensor:
        return relation_divergence_per_sample(student_BD, sources_MBD, source_B)[source_B >= 0].sum()

    whole = loss(student, sources, source)
    gradient = torch.autograd.grad(whole, student)[0]
    kept = source >= 0
    assert (gradient[~kept] == 0).all() and (gradient[kept] != 0).any()
    assert whole.item() == pytest.approx(loss(student[kept], [each[kept] for each in sources], source[kept]).item())


def test_only_angles_between_samples_count() -> None:
    student, _, source = example(5, 8)
    turned = torch.linalg.qr(random_logits(9, 4, 4)).Q
    same = [student @ turned * torch.rand(8, 1, dtype=torch.float64), student]
    loss_B = relation_divergence_per_sample(student, same, source)
    torch.testing.assert_close(loss_B, torch.zeros(8, dtype=torch.float64))


def test_half_precision_is_computed_in_float32() -> None:
    student, sources, source = example(7, 8)
    halves = [each.bfloat16() for each in (student, *sources)]
    expected = relation_divergence_per_sample(halves[0].float(), [each.float() for each in halves[1:]], source)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(relation_divergence_per_sample(halves[0], halves[1:], source), expected)


RKD = [distance_relation_per_sample, angle_relation_per_sample]


def length(a: list[float], b: list[float]) -> float:
    return math.sqrt(math.fsum((x - y) ** 2 for x, y in zip(a, b, strict=True)))


def huber(gap: float) -> float:
    return gap**2 / 2 if abs(gap) < 1 else abs(gap) - 0.5


def distances(i: int, student: Tensor, sources: list[Tensor], source: list[int]) -> float:
    taught = [j for j in range(len(source)) if source[j] >= 0]
    rows = []
    for features in (student.tolist(), sources[source[i]].tolist()):
        pairs = [length(features[a], features[b]) for a in taught for b in taught if a != b]
        mean = math.fsum(pairs) / max(1, len(pairs))
        rows.append([length(features[i], features[j]) / mean for j in taught if j != i])
    gaps = [huber(own - target) for own, target in zip(*rows, strict=True)]
    return sum(gaps) / max(1, len(gaps))


def angles(i: int, student: Tensor, sources: list[Tensor], source: list[int]) -> float:
    others = [j for j in range(len(source)) if source[j] >= 0 and j != i]
    gaps = []
    for j in others:
        for k in others:
            if j == k:
                continue
            own, target = (
                cosine(*[[x - y for x, y in zip(features[to], features[i], strict=True)] for to in (j, k)])
                for features in (student.tolist(), sources[source[i]].tolist())
            )
            gaps.append(huber(own - target))
    return sum(gaps) / max(1, len(gaps))


@pytest.mark.parametrize(("loss", "loop"), zip(RKD, [distances, angles], strict=True))
@given(seed=st.integers(0, 10**6), samples=st.integers(1, 7))
def test_relations_equal_a_loop_over_pairs_and_triples(loss, loop, seed: int, samples: int) -> None:  # type: ignore[no-untyped-def]
    student, sources, source = example(seed, samples)
    loss_B = loss(student, sources, source)
    for i in range(samples):
        expected = loop(i, student, sources, source.tolist()) if source[i] >= 0 else 0.0
        assert loss_B[i].item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("loss", RKD)
def test_gradients_of_relations(loss) -> None:  # type: ignore[no-untyped-def]
    student, sources, source = example(3, 6)
    assert torch.autograd.gradcheck(
        lambda *x: loss(x[0], x[1:], source), [x.requires_grad_() for x in (student, *sources)]
    )


@pytest.mark.parametrize("loss", RKD)
@given(seed=st.integers(0, 10**6), scale=st.floats(0.01, 100))
def test_rotation_shift_and_scale_of_features_do_not_matter(loss, seed: int, scale: float) -> None:  # type: ignore[no-untyped-def]
    student, sources, source = example(seed, 7)
    turned = torch.linalg.qr(random_logits(seed + 9, 4, 4)).Q
    moved = scale * (student @ turned) + random_logits(seed + 10, 4)
    torch.testing.assert_close(loss(moved, sources, source), loss(student, sources, source))
    padded = torch.cat([moved, torch.zeros(7, 2, dtype=torch.float64)], 1)  # in a space of more dimensions
    alike_B = loss(student, [padded, moved], source)
    torch.testing.assert_close(alike_B, torch.zeros(7, dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.mark.parametrize("loss", RKD)
def test_samples_left_out_relate_to_none(loss) -> None:  # type: ignore[no-untyped-def]
    student, sources, source = example(3, 6)
    kept = source >= 0
    whole_B = loss(student.requires_grad_(), sources, source)
    fewer_B = loss(student[kept], [each[kept] for each in sources], source[kept])
    torch.testing.assert_close(whole_B[kept], fewer_B)
    assert not kept.all() and (whole_B[~kept] == 0).all()
    (gradient,) = torch.autograd.grad(whole_B.sum(), student)
    assert (gradient[~kept] == 0).all() and (gradient[kept] != 0).any()


@pytest.mark.parametrize("loss", RKD)
def test_some_rows_are_those_of_all(loss) -> None:  # type: ignore[no-untyped-def]
    student, sources, source = example(5, 9)
    torch.testing.assert_close(loss(student, sources, source, slice(3, 6)), loss(student, sources, source)[3:6])


def test_a_few_angles_at_a_time_are_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    student, sources, source = example(5, 9)
    student.requires_grad_()

    def both() -> tuple[Tensor, Tensor]:
        loss_B = angle_relation_per_sample(student, sources, source)
        return loss_B, torch.autograd.grad(loss_B.sum(), student)[0]

    whole = both()
    largest: list[int] = []
    at = relational._cosines_at
    monkeypatch.setattr(relational, "_cosines_at", lambda x, places: (largest.append(len(places)), at(x, places))[1])
    for numbers, rows in ((1, 1), (600, 2)):  # 9 x 9 numbers of each of the three networks at a sample
        monkeypatch.setattr(relational, "ANGLE_NUMBERS", numbers)
        largest.clear()
        torch.testing.assert_close(both(), whole)
        assert max(largest) == rows


@pytest.mark.parametrize("loss", RKD)
def test_samples_in_the_same_place_have_finite_gradients(loss) -> None:  # type: ignore[no-untyped-def]
    student, sources, source = example(5, 6)
    for features in (student, student[:1].repeat(6, 1)):
        features = features.float()
        features[1] = features[0]
        features.requires_grad_()
        loss_B = loss(features, [each.float() for each in sources], source.clamp_min(0))
        (gradient,) = torch.autograd.grad(loss_B.sum(), features)
        assert loss_B.isfinite().all() and gradient.isfinite().all() and gradient.abs().max() < 100


@pytest.mark.parametrize("loss", RKD)
def test_relations_of_half_precision_are_computed_in_float32(loss) -> None:  # type: ignore[no-untyped-def]
    student, sources, source = example(7, 8)
    halves = [each.bfloat16() for each in (student, *sources)]
    expected = loss(halves[0].float(), [each.float() for each in halves[1:]], source)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(loss(halves[0], halves[1:], source), expected)


@pytest.mark.parametrize("loss", RKD)
def test_relating_does_not_wait_for_the_device(loss) -> None:  # type: ignore[no-untyped-def]
    with FakeTensorMode():  # to ask for a value is an error
        student = torch.zeros(5, 3, requires_grad=True)
        sources = [torch.zeros(5, width) for width in (3, 4)]
        loss_R = loss(student, sources, torch.zeros(5, dtype=torch.int64), slice(1, 3))
        assert torch.autograd.grad(loss_R.sum(), student)[0].shape == (5, 3)
