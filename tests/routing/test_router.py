"""The sample router against a loop over the samples, one at a time."""

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import tiny
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn

from ktlight.config.instantiate import check_parts
from ktlight.errors import UserError
from ktlight.methods.distillation import Distillation
from ktlight.models.sources import LiveSource
from ktlight.routing.confidence import Classwise, Entropy, Margin, MostConfident
from ktlight.routing.fixed import Fixed, Random
from ktlight.routing.flips import Flip, NoNegativeFlips
from ktlight.routing.router import SampleRouter
from ktlight.routing.rules import RoutingRule
from ktlight.routing.soft import Soft

RULES: dict[str, RoutingRule] = {
    "teacher": Fixed(1),
    "student": Fixed(0),
    "most_confident": MostConfident(use_labels=True),
    "most_confident_unsup": MostConfident(use_labels=False),
    "flip_st": Flip("student"),
    "flip_t": Flip("teacher"),
    "flip_avg": Flip("average"),
    "no_negative_flips": NoNegativeFlips(),
}


class Record(Callback):
    """Keeps what the router wrote, and what the current student would have said in evaluation mode."""

    def __init__(self) -> None:
        self.batches: list[dict[str, Any]] = []
        self.shares: list[dict[str, float]] = []

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        student = pl_module.networks[0]
        assert student.training
        student.eval()
        with torch.no_grad():
            current = student(batch["image"])
        student.train()
        self.batches.append({**batch, "current": current, "epoch": trainer.current_epoch})

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        metrics = trainer.logged_metrics
        self.shares.append({name: float(value) for name, value in metrics.items() if name.startswith("share/")})
        metrics.clear()


def sources(count: int) -> list[LiveSource]:
    """Return an initial student and teachers that are often wrong, each in its own way."""
    names = ["student", "teacher", "second"][:count]
    return [LiveSource(name, tiny.classifier(seed).frozen_copy()) for seed, name in enumerate(names)]


def distillation(**options: Any) -> Distillation:
    defaults = {"name": "kl", "soft_loss": "kl", "mixing": 1.0, "temperature": 1.0}
    student = tiny.classifier(0, nn.Dropout(0.5))
    return Distillation([student], tiny.optimization(), **{**defaults, **options})


def train(rule: RoutingRule, asked: list[LiveSource], **options: Any) -> tuple[Distillation, Record]:
    method, record = distillation(), Record()
    tiny.fit(method, callbacks=[SampleRouter(rule.candidates(asked), rule), record], max_epochs=2, **options)
    return method, record


def route_one(name: str, logits_MC: list[Tensor], current_C: Tensor, label: int) -> tuple[str, Tensor | None]:
    """Route one sample by the definitions of the paper, in plain Python; None for a sample that is left out."""
    names = ["student", "teacher", "second"]
    right = [int(logits.argmax()) == label for logits in logits_MC]
    current_right = int(current_C.argmax()) == label
    if name in ("student", "teacher"):
        return name, logits_MC[names.index(name)]
    if name.startswith("most_confident"):
        probabilities = [logits.double().softmax(0) for logits in logits_MC]
        scores = [float(p.max() if name.endswith("unsup") else p[label]) for p in probabilities]
        best = max(range(len(scores)), key=lambda m: (scores[m], -m))
        return names[best], logits_MC[best]
    if name == "no_negative_flips":
        return ("left_out", None) if right[0] and not right[1] else ("teacher", logits_MC[1])
    if right[1] and not current_right:
        return "teacher", logits_MC[1]
    if current_right and not right[1]:
        return "student", logits_MC[0]
    neutral = {"flip_st": "student", "flip_t": "teacher", "flip_avg": "average"}[name]
    third = (logits_MC[1] + current_C) / 2
    return neutral, {"student": logits_MC[0], "teacher": logits_MC[1], "average": third}[neutral]


def kind_of(logits_MC: list[Tensor], label: int) -> str:
    right = [int(logits.argmax()) == label for logits in logits_MC]
    if right[0] == any(right[1:]):
        return "neutral"
    return "negative_flips" if right[0] else "positive_flips"


@pytest.mark.parametrize(
    ("name", "count"),
    [*((name, 2) for name in RULES), ("most_confident", 1), ("most_confident", 3), ("most_confident_unsup", 3)],
)
def test_sources_targets_and_shares_equal_a_loop_over_samples(name: str, count: int) -> None:
    asked = sources(count)
    _, record = train(RULES[name], asked)
    candidates = {source.name: number for number, source in enumerate(RULES[name].candidates(asked))}
    candidates |= {"average": len(candidates), "left_out": -1}

    for epoch in (0, 1):
        taken: Counter[str] = Counter()
        kinds: Counter[str] = Counter()
        for batch in (batch for batch in record.batches if batch["epoch"] == epoch):
            answers = [source.classifier(batch["image"]) for source in asked]
            for row in range(len(batch["label"])):
                label = int(batch["label"][row])
                logits = [answer[row] for answer in answers]
                expected, target = route_one(name, logits, batch["current"][row], label)
                assert int(batch["source"][row]) == candidates[expected]
                if target is not None:
                    torch.testing.assert_close(batch["target"][row], target)
                taken[expected] += 1
                if name not in ("student", "teacher") and count > 1:
                    kinds[kind_of(logits, label)] += 1
                    taken[f"{expected}/{kind_of(logits, label)}"] += 1
        logged = record.shares[epoch]
        for key, value in logged.items():
            _, source, *kind = key.split("/")
            total = kinds[kind[0]] if kind else 48
            assert value == pytest.approx(100 * taken["/".join([source, *kind])] / total, abs=1e-4), key
        assert {key.removeprefix("share/") for key, value in logged.items() if value} == set(taken)
        whole = [value for key, value in logged.items() if key.count("/") == 1]
        assert sum(whole) == pytest.approx(100, abs=1e-4)


def test_the_examples_are_of_every_kind() -> None:
    _, record = train(RULES["most_confident"], sources(2))
    kinds = {kind for shares in record.shares for kind in ("positive_flips", "negative_flips", "neutral")
             if f"share/teacher/{kind}" in shares}  # fmt: skip
    assert kinds == {"positive_flips", "negative_flips", "neutral"}
    assert 0 < record.shares[0]["share/teacher"] < 100


@pytest.mark.parametrize("use_labels", [True, False])
def test_ties_go_to_the_initial_student(use_labels: bool) -> None:
    twins = [LiveSource(name, tiny.classifier(3).frozen_copy()) for name in ("student", "teacher", "second")]
    _, record = train(MostConfident(use_labels), twins)
    assert all((batch["source"] == 0).all() for batch in record.batches)
    assert record.shares[0]["share/student"] == 100 and record.shares[0]["share/teacher"] == 0


def test_sources_run_in_the_precision_of_the_trainer() -> None:
    class Spy(LiveSource):
        def logits(self, batch: Any) -> Tensor:
            logits = super().logits(batch)
            seen.append(logits.dtype)
            return logits

    seen: list[torch.dtype] = []
    asked = [Spy(source.name, source.classifier) for source in sources(2)]
    _, record = train(Flip("average"), asked, precision="bf16-mixed")
    assert set(seen) == {torch.bfloat16}
    batch = record.batches[0]
    assert batch["target"].dtype == torch.float32  # compared and averaged in float32
    with torch.autocast("cpu", torch.bfloat16):
        expected = asked[1].classifier(batch["image"]).float()
    from_teacher = batch["source"] == 1
    torch.testing.assert_close(batch["target"][from_teacher], expected[from_teacher], rtol=0, atol=0)
    assert from_teacher.any()


def test_routing_leaves_no_trace_in_the_student() -> None:
    """Asking the current student must not train it, nor draw from the random numbers of its dropout."""

    def final(rule: RoutingRule) -> dict[str, Tensor]:
        torch.manual_seed(0)
        method = distillation()
        router = SampleRouter(
            rule.candidates([sources(1)[0]] * 2), rule
        )  # both sources alike, so every rule gives one target
        torch.manual_seed(1)
        tiny.fit(method, callbacks=[router])
        return method.state_dict()

    plain, asking = final(Fixed(1)), final(Flip("teacher"))
    for name, value in plain.items():
        torch.testing.assert_close(asking[name], value, rtol=0, atol=0)


def test_sources_stay_frozen_and_out_of_the_checkpoint() -> None:
    asked = sources(2)
    before = [source.classifier.weights_hash() for source in asked]
    method, _ = train(RULES["most_confident"], asked)
    assert [source.classifier.weights_hash() for source in asked] == before
    assert not any(parameter.requires_grad for source in asked for parameter in source.classifier.parameters())
    assert not any("teacher" in name for name in method.state_dict())


def test_the_loss_falls_towards_the_target() -> None:
    asked = sources(2)
    method, _ = train(Fixed(1), asked)
    images = tiny.batch(64)["image"]
    far, near = (
        torch.nn.functional.kl_div(
            network.eval()(images).log_softmax(1), asked[1].classifier(images).log_softmax(1),
            log_target=True, reduction="batchmean",
        )
        for network in (tiny.classifier(0), method.networks[0])
    )  # fmt: skip
    assert math.isfinite(near) and near < 0.7 * far


def test_counting_does_not_wait_for_the_device() -> None:
    router = SampleRouter(sources(2), RULES["most_confident"])
    router.counts = torch.zeros(4, 4, device="meta")  # a value asked for on this device is an error
    router.count(torch.zeros(2, 3, 4, device="meta"), torch.zeros(3, dtype=torch.int64, device="meta"),
                 torch.zeros(3, dtype=torch.int64, device="meta"))  # fmt: skip


def test_asking_the_student_leaves_parts_that_do_not_learn_in_evaluation() -> None:
    student = tiny.classifier(0, nn.BatchNorm1d(48))
    student.network[1].requires_grad_(False)
    method = Distillation([student], tiny.optimization(), name="kl", soft_loss="kl", mixing=1.0, temperature=1.0)
    rule = Flip("student")
    tiny.fit(method, callbacks=[SampleRouter(rule.candidates(sources(2)), rule)], max_epochs=2)
    assert torch.equal(student.network[1].running_mean, torch.zeros(48))


RETAINING: list[Callable[[float], RoutingRule]] = [
    lambda weight: MostConfident(True, weight),
    lambda weight: MostConfident(False, weight),
    lambda weight: Margin(True, weight),
    Entropy,
    lambda weight: MostConfident(True, weight, calibrate=True),
    Classwise,
    lambda weight: Soft(1.0, True, weight),
    lambda weight: Flip("average", weight),
    lambda weight: Random(0.5, 0, weight),
]


@pytest.mark.parametrize("make", RETAINING)
def test_samples_that_the_initial_student_keeps_have_a_weight(make: Callable[[float], RoutingRule]) -> None:
    def trained(weight: float) -> Record:
        rule, asked = make(weight), sources(2)
        images = tiny.batch(40, seed=0)
        answers = torch.stack([source.classifier(images["image"]) for source in asked])
        rule.prepare(answers, images["label"])
        return train(rule, asked)[1]

    for batch in trained(1.0).batches:
        assert "weight" not in batch
    weighed = trained(3.0).batches
    assert {int(number) for batch in weighed for number in batch["source"]} >= {0, 1}
    for batch in weighed:
        assert batch["weight"].tolist() == [3.0 if source == 0 else 1.0 for source in batch["source"].tolist()]


@pytest.mark.parametrize("mixing", [1.0, 0.3])
def test_the_weight_counts_in_all_terms(mixing: float) -> None:
    """The loss of a batch, one sample after the other."""
    losses: list[Tensor] = []

    class Keep(Distillation):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            losses.append(super().training_step(batch, batch_idx))
            return losses[-1]

    asked, rule, record = sources(2), MostConfident(True, retain_weight=4.0), Record()
    method = Keep(
        [tiny.classifier(0)], tiny.optimization(), name="xe_kl", soft_loss="kl", mixing=mixing, temperature=1.0
    )
    tiny.fit(method, callbacks=[SampleRouter(rule.candidates(asked), rule), record], limit_train_batches=1)
    (batch,), student = record.batches, tiny.classifier(0)
    total = 0.0
    for row, label in enumerate(batch["label"].tolist()):
        own = student(batch["image"])[row].log_softmax(0)
        target = batch["target"][row].log_softmax(0)
        loss = mixing * float((target.exp() * (target - own)).sum()) - (1 - mixing) * float(own[label])
        total += (4.0 if int(batch["source"][row]) == 0 else 1.0) * loss
    assert {0, 1} == set(batch["source"].tolist())
    assert float(losses[0]) == pytest.approx(total / len(batch["label"]), rel=1e-5)


def test_a_weight_below_zero_is_refused() -> None:
    with pytest.raises(UserError, match=r"router\.retain_weight=-1 must be a number, at least 0"):
        check_parts(tiny.config("router=margin", "router.retain_weight=-1"))
