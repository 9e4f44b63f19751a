"""What the compressed form keeps exactly, and the bound on what it does not."""

from math import log

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ktlight.functional.confidence import log_odds
from ktlight.functional.losses import kl_divergence_per_sample
from ktlight.functional.routing import leave_out_negative, most_confident
from ktlight.store.form import Full, TopK, make_form

EXACT = 1e-4  # nats; sums of a few dozen float32 terms


@st.composite
def cases(draw: st.DrawFn) -> tuple[int, Tensor, Tensor, Tensor]:
    """Return k, the logits of two sources ``[2, B, C]``, labels and a student's logits."""
    classes = draw(st.integers(4, 40))
    kept = draw(st.integers(1, classes - 2))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    scale = draw(st.sampled_from([0.0, 0.1, 3.0, 30.0]))
    logits_MBC = scale * torch.randn(2, 16, classes, generator=generator) + draw(st.sampled_from([0.0, 50.0]))
    if draw(st.booleans()):
        logits_MBC = logits_MBC.bfloat16().float()  # many ties
    labels_B = torch.randint(0, classes, (16,), generator=generator)
    return kept, logits_MBC, labels_B, 3 * torch.randn(16, classes, generator=generator)


def restored(kept: int, logits_MBC: Tensor, labels_B: Tensor) -> Tensor:
    form = TopK(kept, logits_MBC.shape[-1])
    return torch.stack([form.unpack(form.pack(logits_BC, labels_B), labels_B) for logits_BC in logits_MBC])


@settings(deadline=None, max_examples=60)
@given(cases())
def test_what_stays_exact(case: tuple[int, Tensor, Tensor, Tensor]) -> None:
    kept, full_MBC, labels_B, _ = case
    given_MBC = restored(kept, full_MBC, labels_B)
    others_MBC = full_MBC.scatter(2, labels_B[None, :, None].expand(2, -1, 1), -torch.inf)
    for full_BC, given_BC, others_BC in zip(full_MBC, given_MBC, others_MBC, strict=True):
        for full_C, given_C, others_C, label in zip(full_BC, given_BC, others_BC, labels_B.tolist(), strict=True):
            largest = sorted(range(len(full_C)), key=lambda c: (-others_C[c].item(), c))[:kept]
            assert torch.equal(given_C[[label, *largest]], full_C[[label, *largest]])
            rest = [c for c in range(len(full_C)) if c != label and c not in largest]
            assert torch.equal(given_C[rest], given_C[rest[0]].expand(len(rest)))
            mass = full_C.double().softmax(0)[rest].sum().item()
            assert given_C.double().softmax(0)[rest].sum().item() == pytest.approx(mass, rel=EXACT, abs=1e-30)
    assert torch.equal(given_MBC.argmax(2), full_MBC.argmax(2))
    for labels in (labels_B, None):
        torch.testing.assert_close(log_odds(given_MBC, labels), log_odds(full_MBC, labels), rtol=EXACT, atol=EXACT)


@settings(deadline=None, max_examples=60)
@given(cases())
def test_the_same_decisions(case: tuple[int, Tensor, Tensor, Tensor]) -> None:
    kept, full_MBC, labels_B, _ = case
    given_MBC = restored(kept, full_MBC, labels_B)
    for labels in (labels_B, None):
        odds_MB = log_odds(full_MBC, labels)
        clear_B = (odds_MB[0] - odds_MB[1]).abs() > EXACT * (1 + odds_MB.abs().amax(0))
        same_B = most_confident(given_MBC, labels) == most_confident(full_MBC, labels)
        assert same_B[clear_B].all()
    left_out = [leave_out_negative(x[0].argmax(1), x[1].argmax(1), labels_B) for x in (given_MBC, full_MBC)]
    assert torch.equal(*left_out)
    same = torch.stack([given_MBC[0], given_MBC[0]])
    assert not most_confident(same, labels_B).any()  # equal sources still tie, and ties go to the first


@settings(deadline=None, max_examples=60)
@given(cases())
def test_the_bound(case: tuple[int, Tensor, Tensor, Tensor]) -> None:
    kept, (full_BC, _), labels_B, student_BC = case
    (given_BC,) = restored(kept, full_BC[None], labels_B)
    rest_BC = torch.ones_like(full_BC, dtype=torch.bool).scatter(1, labels_B[:, None], False)
    others_BC = full_BC.masked_fill(~rest_BC, -torch.inf)
    rest_BC = rest_BC.scatter(1, others_BC.sort(stable=True, dim=1, descending=True).indices[:, :kept], False)
    full_BC, given_BC, student_BC = full_BC.double(), given_BC.double(), student_BC.double()
    mass_B = full_BC.softmax(1).masked_fill(~rest_BC, 0).sum(1)
    student_rest = [student_C[rest_C] for student_C, rest_C in zip(student_BC, rest_BC, strict=True)]
    spread_B = torch.stack([values.max() - values.min() for values in student_rest])
    rest = full_BC.shape[1] - 1 - kept
    error_B = (kl_divergence_per_sample(student_BC, full_BC) - kl_divergence_per_sample(student_BC, given_BC)).abs()
    assert (error_B <= mass_B * (log(rest) + spread_B) + EXACT * (1 + mass_B)).all()
    moved_B = (full_BC.softmax(1) - given_BC.softmax(1)).abs().sum(1)  # of the gradient in the student's logits
    assert (moved_B <= 2 * mass_B + 1e-5).all()
    for temperature in (2.0, 4.0):
        probabilities = [(logits / temperature).softmax(1) for logits in (full_BC, given_BC)]
        true_B, assumed_B = (p.masked_fill(~rest_BC, 0).sum(1) for p in probabilities)
        assert (assumed_B >= true_B - 1e-6).all()
        assert ((probabilities[0] - probabilities[1]).abs().sum(1) <= 2 * assumed_B + 1e-5).all()


def test_a_form_that_takes_no_less_room_is_not_used() -> None:
    assert isinstance(make_form(None, 1000), Full)
    assert isinstance(make_form(4, 10), Full)
    assert make_form(3, 10) == TopK(3, 10)
    assert make_form(10, 1000).name == "top 10" and make_form(None, 10).name == "full"
