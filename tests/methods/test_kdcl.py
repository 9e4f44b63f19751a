from types import SimpleNamespace
from typing import Any

import lightning
import numpy as np
import pytest
import tiny
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ktlight.errors import UserError
from ktlight.functional.targets import general_target, linear_target, minlogit_target, naive_target
from ktlight.methods.kdcl import KDCL

RULES = ("naive", "linear", "minlogit", "general")


def kdcl(rule: str = "naive", update_teacher: bool = True, **options: Any) -> KDCL:
    networks = [tiny.classifier(0), tiny.classifier(1, nn.BatchNorm1d(48))]
    defaults = {"name": "kdcl", "weight": 1.0, "temperature": 2.0, "own_views": False}
    method = KDCL(networks, tiny.optimization(), rule=rule, update_teacher=update_teacher, **{**defaults, **options})  # type: ignore[arg-type]
    method.trainer = lightning.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    return method.eval()  # so that one sample at a time gives what the batch gives


def state(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def changed(network: nn.Module, before: dict[str, Tensor]) -> set[str]:
    return {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}


@pytest.mark.parametrize("rule", RULES)
def test_the_target_is_that_of_the_rule(rule: str) -> None:
    method, batch = kdcl(rule), tiny.batch(16)
    logits_NBC = torch.stack([network(batch["image"]) for network in method.networks])
    method.general_weights_N = torch.tensor([0.3, 0.7])
    expected = {
        "naive": lambda: naive_target(logits_NBC, batch["label"]),
        "linear": lambda: linear_target(logits_NBC, batch["label"]),
        "minlogit": lambda: minlogit_target(logits_NBC, batch["label"]),
        "general": lambda: general_target(logits_NBC, torch.tensor([0.3, 0.7])),
    }
    torch.testing.assert_close(method.target(logits_NBC, batch["label"]), expected[rule]())


def test_the_linear_target_is_one_combination_over_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    logits_NBC = torch.randn(2, 12, tiny.CLASSES, generator=torch.Generator().manual_seed(0)) * 3
    labels_B = tiny.batch(12)["label"]
    method = kdcl("linear")
    halves = [(logits_NBC[:, rows].transpose(0, 1), labels_B[rows]) for rows in (slice(0, 6), slice(6, 12))]
    monkeypatch.setattr(KDCL, "all_gather", lambda self, _: tuple(map(torch.stack, zip(*halves, strict=True))))
    targets = []
    for rank, (logits_BNC, labels) in enumerate(halves):
        monkeypatch.setattr(KDCL, "trainer", SimpleNamespace(world_size=2, global_rank=rank))
        targets.append(method.target(logits_BNC.transpose(0, 1), labels))
    torch.testing.assert_close(torch.cat(targets), linear_target(logits_NBC, labels_B))
    alone = linear_target(logits_NBC[:, :6], labels_B[:6])
    assert not torch.allclose(targets[0], alone, atol=1e-2)  # each process by itself would combine otherwise


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("weight", [0.5, 2.0])
def test_the_loss_is_that_of_the_paper_for_each_network(rule: str, weight: float) -> None:
    method, batch = kdcl(rule, weight=weight), tiny.batch(16)
    logits = [network(batch["image"]) for network in method.networks]
    target = method.target(torch.stack(logits).detach(), batch["label"]).double()
    terms = method.terms(logits, batch)
    assert set(terms) == {"label_0", "soft_0", "label_1", "soft_1"}
    for number, logits_BC in enumerate(logits):
        q = (target / 2).softmax(1)
        kl = (q * (q.log() - (logits_BC.double() / 2).log_softmax(1))).sum(1).mean()
        assert float(terms[f"soft_{number}"]) == pytest.approx(float(weight * 4 * kl), rel=1e-4)
        assert float(terms[f"label_{number}"]) == pytest.approx(float(cross_entropy(logits_BC, batch["label"])))


@pytest.mark.parametrize("rule", RULES)
def test_gradients_reach_both_networks_and_not_through_the_target(rule: str) -> None:
    method, batch = kdcl(rule), tiny.batch(16)
    logits = [network(batch["image"]) for network in method.networks]
    terms = method.terms(logits, batch)
    for mine, other in ((0, 1), (1, 0)):
        own = sum(terms[f"{part}_{mine}"] for part in ("label", "soft"))
        parameters = list(method.networks[mine].parameters())
        assert all((g != 0).any() for g in torch.autograd.grad(own, parameters, retain_graph=True))
        foreign = torch.autograd.grad(
            own, list(method.networks[other].parameters()), retain_graph=True, allow_unused=True
        )
        assert all(gradient is None for gradient in foreign)


@pytest.mark.parametrize("rule", RULES)
def test_a_teacher_that_is_not_updated_stays_as_it_is(rule: str) -> None:
    method = kdcl(rule, update_teacher=False)
    before = [state(network) for network in method.networks]
    trainer = tiny.fit(method, tiny.data_module(holdout=0.25))
    assert method.learners == 1
    assert changed(method.networks[0], before[0]) == {"network.1.weight", "network.1.bias"}
    assert not changed(method.networks[1], before[1])  # nor its BatchNorm statistics
    assert "train/soft_0" in trainer.callback_metrics and "train/soft_1" not in trainer.callback_metrics


@pytest.mark.parametrize("rule", RULES)
def test_both_learn(rule: str) -> None:
    method = kdcl(rule)
    method.optimization = tiny.optimization(lr=0.01)
    before = [state(network) for network in method.networks]
    data = tiny.data_module(holdout=0.25)
    first, later = (tiny.fit(method, data, max_epochs=epochs).callback_metrics for epochs in (1, 5))
    assert all(later[f"train/label_{number}"] < first[f"train/label_{number}"] for number in (0, 1))
    for network, old in zip(method.networks, before, strict=True):
        assert changed(network, old) == set(old)


def test_general_weighs_by_the_errors_on_the_held_out_images() -> None:
    method = kdcl("general")
    data = tiny.data_module(holdout=0.25)
    method.optimization = tiny.optimization(lr=0.0)
    initial = [state(network) for network in method.networks]
    tiny.fit(method, data)
    twins = kdcl("general")
    for twin, weights in zip(twins.networks, initial, strict=True):
        twin.load_state_dict(weights)
    residuals = []
    for row in data.holdout_rows.tolist():
        image = data.dataset.train.image(row)[None]  # type: ignore[union-attr]
        one_hot = nn.functional.one_hot(torch.tensor(int(data.dataset.train.labels[row])), tiny.CLASSES)  # type: ignore[union-attr]
        residuals.append(torch.stack([network(image)[0].double().softmax(0) - one_hot for network in twins.networks]))
    correlation = torch.stack([r @ r.T for r in residuals]).mean(0).detach().numpy()
    inverse = np.linalg.inv(correlation)
    expected = inverse.sum(1) / inverse.sum()
    np.testing.assert_allclose(method.general_weights_N.numpy(), expected, rtol=1e-3)
    assert len(data.holdout_rows) == 12 and data.num_train == 36


def test_one_network_alone_is_refused() -> None:
    with pytest.raises(UserError, match="at least two networks"):
        KDCL(
            [tiny.classifier()], tiny.optimization(), name="kdcl", rule="naive", weight=1.0, temperature=2.0,
            update_teacher=True, own_views=False,
        )  # fmt: skip


def test_statistics_of_a_part_that_does_not_learn_stay_as_they_are() -> None:
    networks = [tiny.classifier(0, nn.BatchNorm1d(48)), tiny.classifier(1)]
    networks[0].network[1].requires_grad_(False)
    method = KDCL(
        networks, tiny.optimization(), name="kdcl", rule="general", weight=1.0, temperature=2.0, update_teacher=True,
        own_views=False,
    )  # fmt: skip
    tiny.fit(method, tiny.data_module(holdout=0.25), max_epochs=2)
    assert torch.equal(networks[0].network[1].running_mean, torch.zeros(48))
