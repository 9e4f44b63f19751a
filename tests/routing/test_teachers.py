"""Several teachers together: their weights from the formulas, and what is left of them with one teacher."""

import math

import pytest
import tiny
import torch
from torch import Tensor

from ktlight.errors import UserError
from ktlight.methods.distillation import Distillation
from ktlight.models.sources import LiveSource
from ktlight.routing.fixed import Fixed
from ktlight.routing.router import SampleRouter
from ktlight.routing.rules import RoutingRule
from ktlight.routing.teachers import CAMKD, Average, EntropyWeights

RULES: dict[str, RoutingRule] = {"average": Average(), "entropy_weights": EntropyWeights(), "camkd": CAMKD(True)}


def sources(count: int) -> list[LiveSource]:
    names = ["student", "teacher1", "teacher2", "teacher3"][:count]
    return [LiveSource(name, tiny.classifier(seed).frozen_copy()) for seed, name in enumerate(names)]


def logits(*shape: int, scale: float = 2.0) -> Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def weights_of(name: str, chances: list[list[float]], label: int) -> list[float]:
    """Say in plain Python how much each teacher counts for a sample."""
    if name == "average":
        return [1 / len(chances)] * len(chances)
    losses = {
        "camkd": [-math.log(row[label]) for row in chances],
        "entropy_weights": [-math.fsum(chance * math.log(chance) for chance in row) for row in chances],
    }[name]
    powers = [math.exp(loss) for loss in losses]
    return [(1 - power / math.fsum(powers)) / (len(chances) - 1) for power in powers]


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("teachers", [2, 3])
def test_the_target_is_the_weighted_mean_of_the_probabilities(name: str, teachers: int) -> None:
    logits_MBC, batch = logits(teachers, 12, tiny.CLASSES), tiny.batch()
    source_B, target_BC = RULES[name](logits_MBC, batch, None)
    for sample, label in enumerate(batch["label"].tolist()):
        chances = logits_MBC[:, sample].double().softmax(1).tolist()
        weights = weights_of(name, chances, label)
        mean = [math.fsum(w * row[c] for w, row in zip(weights, chances, strict=True)) for c in range(tiny.CLASSES)]
        assert target_BC[sample].exp().tolist() == pytest.approx(mean, rel=1e-4)
        assert int(source_B[sample]) == weights.index(max(weights))


@pytest.mark.parametrize("name", RULES)
def test_the_initial_student_is_not_asked(name: str) -> None:
    assert [source.name for source in RULES[name].candidates(sources(3))] == ["teacher1", "teacher2"]


@pytest.mark.parametrize("name", RULES)
def test_targets_are_finite_however_sure_the_teachers_are(name: str) -> None:
    for scale in (1e-30, 300.0, 1e4):
        target_BC = RULES[name](logits(3, 12, tiny.CLASSES, scale=scale), tiny.batch(), None).target_BC
        assert target_BC.isfinite().all()
        torch.testing.assert_close(target_BC.logsumexp(1), torch.zeros(12))


@pytest.mark.parametrize("name", RULES)
def test_one_teacher_trains_as_router_teacher_does(name: str) -> None:
    def weights(rule: RoutingRule) -> dict[str, Tensor]:
        method = Distillation(
            [tiny.classifier(0)], tiny.optimization(), name="kl", soft_loss="kl", mixing=1.0, temperature=1.0
        )
        tiny.fit(method, callbacks=[SampleRouter(rule.candidates(sources(2)), rule)])
        return method.state_dict()

    expected = weights(Fixed(1))
    for key, value in weights(RULES[name]).items():
        torch.testing.assert_close(value, expected[key], rtol=1e-4, atol=1e-6)


def test_shares_are_those_of_the_teachers_that_count_most() -> None:
    shares: dict[str, float] = {}

    class Record(SampleRouter):
        def on_train_epoch_end(self, trainer, pl_module) -> None:  # type: ignore[no-untyped-def]
            super().on_train_epoch_end(trainer, pl_module)
            shares.update({key: float(value) for key, value in trainer.logged_metrics.items() if "share" in key})

    rule = CAMKD(True)
    method = Distillation(
        [tiny.classifier(0)], tiny.optimization(), name="kl", soft_loss="kl", mixing=1.0, temperature=1.0
    )
    tiny.fit(method, callbacks=[Record(rule.candidates(sources(3)), rule)])
    # flips are between the initial student and the teachers, so there are none to tell apart
    assert shares.keys() == {"share/teacher1", "share/teacher2"}
    assert all(shares.values()) and sum(shares.values()) == pytest.approx(100)


def test_camkd_without_labels_is_refused() -> None:
    with pytest.raises(UserError, match=r"router=camkd weighs .* without labels use router=entropy_weights"):
        CAMKD(use_labels=False)


@pytest.mark.parametrize("name", RULES)
def test_weighing_does_not_wait_for_the_device(name: str) -> None:
    batch = {**tiny.batch(6), "label": torch.zeros(6, dtype=torch.int64, device="meta")}
    source_B, target_BC = RULES[name](torch.zeros(3, 6, tiny.CLASSES, device="meta"), batch, None)  # type: ignore[arg-type]
    assert source_B.shape == (6,) and target_BC.shape == (6, tiny.CLASSES)
