"""Routers beyond the paper, against loops over the samples one at a time."""

import math
from collections.abc import Callable
from functools import partial

import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ktlight.errors import UserError
from ktlight.functional.calibration import fit_temperature
from ktlight.functional.expertise import class_expertise
from ktlight.methods.distillation import Distillation
from ktlight.models.sources import LiveSource
from ktlight.routing.confidence import Classwise, Entropy, Margin, MostConfident
from ktlight.routing.fixed import Fixed, Random
from ktlight.routing.router import SampleRouter
from ktlight.routing.rules import RoutingRule
from ktlight.routing.soft import Pooled, Soft
from ktlight.types import Batch

settings.register_profile("routing", deadline=None, derandomize=True, max_examples=40)
settings.load_profile("routing")

CLASSES = 4
RULES: dict[str, Callable[[], RoutingRule]] = {
    "soft": lambda: Soft(0.5, use_labels=True),
    "soft_unsup": lambda: Soft(0.5, use_labels=False),
    "margin": lambda: Margin(use_labels=True),
    "margin_unsup": lambda: Margin(use_labels=False),
    "entropy": Entropy,
    "entropy, calibrated": lambda: Entropy(calibrate=True),
    "most_confident, calibrated": lambda: MostConfident(use_labels=True, calibrate=True),
    "most_confident_unsup, calibrated": lambda: MostConfident(use_labels=False, calibrate=True),
    "most_confident, expertise": lambda: MostConfident(use_labels=True, expertise=True),
    "margin_unsup, calibrated, expertise": lambda: Margin(use_labels=False, calibrate=True, expertise=True),
    "soft, calibrated, expertise": lambda: Soft(0.5, use_labels=True, calibrate=True, expertise=True),
    "classwise, expertise": Classwise,
    "pooled": Pooled,
    "random": lambda: Random(0.5, seed=3),
}
COMPARING = [name for name in RULES if name not in ("random", "pooled")]
seeds, numbers = st.integers(0, 10**6), st.integers(1, 4)


def logits(seed: int, *shape: int) -> Tensor:
    return 2 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def batch_of(seed: int, samples: int, view: int = 0) -> Batch:
    labels = torch.randint(CLASSES, (samples,), generator=torch.Generator().manual_seed(seed + 1))
    return {"image": torch.zeros(samples, 0), "label": labels, "index": torch.arange(samples), "view": view}


def prepared(name: str, earlier_MNC: Tensor, labels_N: Tensor) -> RoutingRule:
    """Return a rule that has seen what its sources say to earlier images."""
    rule = RULES[name]()
    rule.prepare(earlier_MNC, labels_N)
    return rule


def softmax(row_C: Tensor) -> list[float]:
    powers = [math.exp(value) for value in row_C.tolist()]
    return [power / math.fsum(powers) for power in powers]


def score(name: str, row_C: Tensor, label: int, earlier_NC: Tensor, labels_N: Tensor) -> float:
    """Say in plain Python how well a rule thinks of one source for one sample."""
    chances = softmax(row_C / fit_temperature(earlier_NC, labels_N) if "calibrated" in name else row_C)
    own = "unsup" in name or "entropy" in name
    asked = max(range(CLASSES), key=chances.__getitem__) if own else label
    known = 0.0
    if "expertise" in name:
        right_N, predicted_N = earlier_NC.argmax(1) == labels_N, earlier_NC.argmax(1)
        expertise_C, _ = class_expertise(right_N, predicted_N if own else labels_N, CLASSES)
        known = math.log(expertise_C[asked] / (1 - expertise_C[asked]))
    if name.startswith("margin"):
        return known + math.log(chances[asked] / max(chance for kind, chance in enumerate(chances) if kind != asked))
    if name.startswith("entropy"):
        return known + sum(chance * math.log(chance) for chance in chances)
    if name.startswith("classwise"):
        return known
    return known + math.log(chances[asked] / (1 if name.startswith("soft") else 1 - chances[asked]))


@pytest.mark.parametrize("name", COMPARING)
@given(seed=seeds, count=numbers)
def test_sources_equal_a_loop_over_samples(name: str, seed: int, count: int) -> None:
    earlier_MNC, earlier = logits(seed, count, 9, CLASSES), batch_of(seed, 9)["label"]
    batch, logits_MBC = batch_of(seed + 2, 6), logits(seed + 3, count, 6, CLASSES)
    source_B, target_BC = prepared(name, earlier_MNC, earlier)(logits_MBC, batch, None)
    assert source_B.dtype == torch.int64
    for row, label in enumerate(batch["label"].tolist()):
        scores = [score(name, logits_MBC[m, row], label, earlier_MNC[m], earlier) for m in range(count)]
        best = max(range(count), key=lambda m: (round(scores[m], 12), -m))
        assert int(source_B[row]) == best
        if not name.startswith("soft"):
            assert torch.equal(target_BC[row], logits_MBC[best, row])


@pytest.mark.parametrize("name", [name for name in COMPARING if "classwise" not in name])  # where teachers often tie
@given(seed=seeds)
def test_the_order_of_the_teachers_does_not_matter(name: str, seed: int) -> None:
    earlier_MNC, earlier = logits(seed, 4, 30, CLASSES), batch_of(seed, 30)["label"]
    batch, logits_MBC = batch_of(seed, 6), logits(seed + 1, 4, 6, CLASSES)
    order = torch.tensor([0, 3, 1, 2])
    source_B, target_BC = prepared(name, earlier_MNC, earlier)(logits_MBC, batch, None)
    moved_B, moved_BC = prepared(name, earlier_MNC[order], earlier)(logits_MBC[order], batch, None)
    assert torch.equal(order[moved_B], source_B)
    torch.testing.assert_close(moved_BC, target_BC)


@pytest.mark.parametrize("name", COMPARING)
@given(seed=seeds, shift=st.integers(-200, 200))
def test_sources_that_are_alike_leave_all_to_the_initial_student(name: str, seed: int, shift: int) -> None:
    """Also where the logits of the others are shifted, which changes no probability."""
    # Eighths, so that the shift itself is exact.
    earlier_NC, row_BC = (
        (8 * values).round() / 8 for values in (logits(seed, 9, CLASSES), logits(seed + 1, 6, CLASSES))
    )
    shifts_M11 = torch.tensor([0.0, shift, -shift], dtype=torch.float64)[:, None, None]
    rule = prepared(name, earlier_NC + shifts_M11, batch_of(seed, 9)["label"])
    if "calibrated" in name:  # dividing by a temperature rounds a shifted row otherwise
        shifts_M11 = 0 * shifts_M11
    source_B, target_BC = rule(row_BC + shifts_M11, batch_of(seed + 2, 6), None)
    assert source_B.tolist() == [0] * 6
    torch.testing.assert_close(target_BC.softmax(1), row_BC.softmax(1))


@pytest.mark.parametrize("name", [name for name in RULES if name != "random" and "soft" not in name])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(seed=seeds, scale=st.sampled_from([1.0, 30.0]))
def test_a_copy_of_the_student_changes_nothing(name: str, dtype: torch.dtype, seed: int, scale: float) -> None:
    """At 30 most probabilities round to 0 or 1 in float32. (A copy doubles a source's say in a mean.)"""
    earlier_MNC, earlier = (scale * logits(seed, 2, 30, CLASSES)).to(dtype), batch_of(seed, 30)["label"]
    batch, logits_MBC = batch_of(seed, 20), (scale * logits(seed + 1, 2, 20, CLASSES)).to(dtype)
    twice = torch.tensor([0, 0, 1])
    source_B, target_BC = prepared(name, earlier_MNC, earlier)(logits_MBC, batch, None)
    again_B, again_BC = prepared(name, earlier_MNC[twice], earlier)(logits_MBC[twice], batch, None)
    assert not (again_B == 1).any() and target_BC.dtype == dtype
    if name == "pooled":
        torch.testing.assert_close(again_BC, target_BC, atol=0.01, rtol=0.01)
    else:
        assert torch.equal(twice[again_B], source_B) and torch.equal(again_BC, target_BC)


@pytest.mark.parametrize("options", [{}, {"calibrate": True}, {"calibrate": True, "expertise": True}])
@pytest.mark.parametrize("kind", [MostConfident, Margin, partial(Soft, 1.0)])
def test_saturated_sources_do_not_tie(kind: Callable[..., RoutingRule], options: dict[str, bool]) -> None:
    labels_N = torch.arange(40) % CLASSES
    hot_NC = torch.nn.functional.one_hot(labels_N, CLASSES).float()
    rule = kind(use_labels=True, **options)
    rule.prepare(torch.stack([60 * hot_NC, 60 * hot_NC]), labels_N)
    batch: Batch = {"image": hot_NC, "label": labels_N, "index": labels_N, "view": 0}
    source_B, _ = rule(torch.stack([30 * hot_NC, 60 * hot_NC]), batch, None)
    assert source_B.tolist() == [1] * 40


@given(seed=seeds)
def test_the_right_go_before_the_wrong_by_margin(seed: int) -> None:
    batch, logits_MBC = batch_of(seed, 20), logits(seed, 3, 20, CLASSES)
    target_BC = Margin(use_labels=True)(logits_MBC, batch, None).target_BC
    anyone_right_B = (logits_MBC.argmax(2) == batch["label"]).any(0)
    assert torch.equal(target_BC.argmax(1) == batch["label"], anyone_right_B)


def test_margin_and_most_confident_differ() -> None:
    spread = torch.tensor([[0.3, 0.24, 0.23, 0.23]]).log()  # right, with less probability
    wrong = torch.tensor([[0.4, 0.6, 1e-3, 1e-3]]).log()
    batch: Batch = {"image": torch.zeros(0), "label": torch.tensor([0]), "index": torch.tensor([0]), "view": 0}
    assert Margin(True)(torch.stack([wrong, spread]), batch, None).source_B.item() == 1
    assert MostConfident(True)(torch.stack([wrong, spread]), batch, None).source_B.item() == 0


@given(seed=seeds, factor=st.floats(0.3, 3))
def test_calibrated_is_blind_to_over_confidence(seed: int, factor: float) -> None:
    """Whatever a source multiplies its logits by, it is chosen for the same samples."""
    earlier_MNC, labels_N = logits(seed, 3, 60, CLASSES), batch_of(seed, 60)["label"]
    earlier_MNC[:, torch.arange(60), labels_N] += 2
    batch, logits_MBC = batch_of(seed + 1, 20), logits(seed + 2, 3, 20, CLASSES)
    scale_M11 = torch.tensor([1.0, factor, 1.0], dtype=torch.float64)[:, None, None]
    plain = prepared("most_confident, calibrated", earlier_MNC, labels_N)(logits_MBC, batch, None)
    loud = prepared("most_confident, calibrated", earlier_MNC * scale_M11, labels_N)(
        logits_MBC * scale_M11, batch, None
    )
    assert torch.equal(plain.source_B, loud.source_B)


def test_calibrated_targets_are_what_the_source_says() -> None:
    logits_MBC = logits(0, 2, 6, CLASSES)
    rule = prepared("most_confident, calibrated", 7 * logits(1, 2, 30, CLASSES), batch_of(1, 30)["label"])
    source_B, target_BC = rule(logits_MBC, batch_of(2, 6), None)
    assert torch.equal(target_BC, logits_MBC[source_B, torch.arange(6)])


@pytest.mark.parametrize("options", [{"calibrate": True}, {"expertise": True}])
def test_what_is_learned_needs_held_out_images(options: dict[str, bool]) -> None:
    for rule in (MostConfident(True, **options), Soft(1.0, True, **options), Pooled()):
        assert rule.needs_holdout
        with pytest.raises(UserError, match=r"set data\.holdout=0\.1"):
            rule(logits(0, 2, 3, CLASSES), batch_of(0, 3), None)
        with pytest.raises(UserError, match=r"set data\.holdout=0\.1"):
            rule.prepare(torch.zeros(2, 0, CLASSES), torch.zeros(0, dtype=torch.int64))


def test_classes_without_images_go_to_the_best_source() -> None:
    good, bad = torch.tensor([[9.0, 0, 0, 0]]), torch.tensor([[0.0, 9, 0, 0]])
    rule = prepared("classwise, expertise", torch.stack([bad, good]), torch.tensor([0]))
    batch: Batch = {"image": torch.zeros(0), "label": torch.arange(4), "index": torch.arange(4), "view": 0}
    assert rule(logits(0, 2, 4, CLASSES), batch, None).source_B.tolist() == [1, 1, 1, 1]


def test_a_rule_can_be_prepared_again() -> None:
    """Before each stage of a sequence, with other sources."""
    good, bad = torch.tensor([[9.0, 0, 0, 0]]), torch.tensor([[0.0, 9, 0, 0]])
    rule = prepared("classwise, expertise", torch.stack([bad, good]), torch.tensor([0]))
    rule.prepare(torch.stack([good, bad, bad]), torch.tensor([0]))
    batch: Batch = {"image": torch.zeros(0), "label": torch.tensor([0]), "index": torch.tensor([0]), "view": 0}
    assert rule(logits(0, 3, 1, CLASSES), batch, None).source_B.item() == 0


def test_each_source_reports_what_was_learned_of_it() -> None:
    earlier_MNC, labels_N = logits(0, 3, 40, CLASSES), batch_of(0, 40)["label"]
    learned = Margin(True, calibrate=True, expertise=True).prepare(earlier_MNC, labels_N)
    assert all(len(numbers_M) == 3 for numbers_M in learned.values())
    assert learned["temperature"][1] == fit_temperature(earlier_MNC[1], labels_N)
    assert learned["accuracy"][2] == (earlier_MNC[2].argmax(1) == labels_N).double().mean()
    assert learned["classes known best"].sum() == CLASSES
    assert Margin(True).prepare(earlier_MNC, labels_N) == {}


@pytest.mark.parametrize(("share", "fixed"), [(0.0, 0), (1.0, 1)])
def test_random_at_the_ends_trains_as_the_fixed_router_does(share: float, fixed: int) -> None:
    def weights(rule: RoutingRule) -> dict[str, Tensor]:
        method = Distillation(
            [tiny.classifier(0)], tiny.optimization(), name="kl", soft_loss="kl", mixing=1.0, temperature=1.0
        )
        asked = [
            LiveSource(role, tiny.classifier(number).frozen_copy()) for number, role in enumerate(("student", "t"))
        ]
        tiny.fit(method, callbacks=[SampleRouter(rule.candidates(asked), rule)])
        return method.state_dict()

    expected = weights(Fixed(fixed))
    for name, value in weights(Random(share, seed=0)).items():
        assert torch.equal(value, expected[name]), name


def test_random_gives_a_sample_the_same_source_in_any_batch() -> None:
    rule, batch = Random(0.5, seed=0), batch_of(0, 40, view=7)
    logits_MBC = logits(0, 3, 40, CLASSES)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    mixed: Batch = {**batch, "label": batch["label"][order], "index": order}
    moved = rule(logits_MBC[:, order], mixed, None)
    source_B, target_BC = rule(logits_MBC, batch, None)
    assert torch.equal(moved.source_B, source_B[order])
    assert torch.equal(moved.target_BC, target_BC[order])
    assert set(source_B.tolist()) == {0, 1, 2}


@pytest.mark.parametrize("name", RULES)
def test_routing_does_not_wait_for_the_device(name: str) -> None:
    rule = prepared(name, logits(0, 3, 9, CLASSES), batch_of(0, 9)["label"])
    # A value asked for on this device is an error; the indices stay on the CPU.
    batch: Batch = {**batch_of(0, 6), "label": torch.zeros(6, dtype=torch.int64, device="meta")}
    source_B, target_BC = rule(torch.zeros(3, 6, CLASSES, device="meta"), batch, None)
    assert source_B.shape == (6,) and target_BC.shape == (6, CLASSES)
