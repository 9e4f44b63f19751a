import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ktlight.functional.losses import masked_mean
from ktlight.functional.relational import relation_divergence_per_sample

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
