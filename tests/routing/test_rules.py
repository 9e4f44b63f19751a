import pytest
import tiny
import torch

from ktlight.errors import UserError
from ktlight.models.sources import LiveSource
from ktlight.routing.confidence import MostConfident
from ktlight.routing.fixed import Fixed
from ktlight.routing.flips import Flip, NoNegativeFlips
from ktlight.types import Batch

SOURCES = [LiveSource(name, None) for name in ("student", "teacher", "second")]  # type: ignore[arg-type]


def test_only_the_sources_a_rule_chooses_from_are_asked() -> None:
    assert [source.name for source in Fixed(1).candidates(SOURCES[:2])] == ["teacher"]
    assert [source.name for source in Fixed(0).candidates(SOURCES)] == ["student"]
    assert MostConfident(True).candidates(SOURCES) == SOURCES


def test_a_source_that_is_not_there_is_refused() -> None:
    with pytest.raises(UserError, match=r"router\.source=3, but there are only sources 0 to 2"):
        Fixed(3).candidates(SOURCES)


def test_one_fixed_teacher_of_several_is_refused() -> None:
    with pytest.raises(UserError, match="router=teacher takes one teacher, but there are 2"):
        Fixed(1).candidates(SOURCES)


@pytest.mark.parametrize("rule", [Flip("student"), NoNegativeFlips()])
@pytest.mark.parametrize("count", [1, 3])
def test_rules_that_compare_two_refuse_other_numbers(rule: Flip | NoNegativeFlips, count: int) -> None:
    with pytest.raises(UserError, match=f"one teacher, but there are {count - 1}"):
        rule.candidates(SOURCES[:count])


def test_only_flip_rules_ask_the_current_student() -> None:
    assert Flip("average").needs_student
    assert not (Fixed(1).needs_student or MostConfident(True).needs_student or NoNegativeFlips().needs_student)


def test_the_rules_of_the_paper_need_no_preparation() -> None:
    assert not any(rule.needs_holdout for rule in (Fixed(1), MostConfident(True), Flip("student"), NoNegativeFlips()))


def test_flips_are_those_of_the_current_student() -> None:
    """The initial student is right, the current one wrong: a positive flip, not a neutral sample."""
    labels = torch.tensor([0])
    right, wrong = torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 3.0]])
    teacher = torch.tensor([[5.0, 0.0]])
    batch: Batch = {"image": torch.zeros(0), "label": labels, "index": torch.tensor([0]), "view": 0}
    routing = Flip("student")(torch.stack([right, teacher]), batch, wrong)
    assert routing.source_B.tolist() == [1]
    torch.testing.assert_close(routing.target_BC, teacher)


@pytest.mark.parametrize("use_labels", [True, False])
def test_data_partitioning_over_one_source_is_self_distillation(use_labels: bool) -> None:
    logits_MBC, batch = torch.randn(1, 12, tiny.CLASSES), tiny.batch()
    partitioned, fixed = (rule(logits_MBC, batch, None) for rule in (MostConfident(use_labels), Fixed(0)))
    assert torch.equal(partitioned.source_B, fixed.source_B) and torch.equal(partitioned.target_BC, fixed.target_BC)
