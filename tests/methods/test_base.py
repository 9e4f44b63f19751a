from collections.abc import Sequence
from typing import Any

import pytest
import tiny
import torch
from torch import Tensor, nn

from ktlight.errors import UserError
from ktlight.methods.base import CHECK_EVERY, TransferMethod
from ktlight.methods.supervised import Supervised
from ktlight.types import Batch


class Poisoned(Supervised):
    """Its loss is not a number at one optimiser step."""

    bad_step = -1
    bad_value = float("nan")
    steps_taken = 0

    def terms(self, logits_NBC: Sequence[Tensor], batch: Batch) -> dict[str, Tensor]:
        terms = super().terms(logits_NBC, batch)
        self.steps_taken = self.global_step
        return {"label": terms["label"] * (self.bad_value if self.global_step == self.bad_step else 1)}


def poisoned(step: int, value: float = float("nan")) -> Poisoned:
    method = Poisoned([tiny.classifier()], tiny.optimization())
    method.bad_step, method.bad_value = step, value
    return method


class Split(Supervised):
    """The loss of `Supervised` in two parts."""

    def terms(self, logits_NBC: Sequence[Tensor], batch: Batch) -> dict[str, Tensor]:
        loss = super().terms(logits_NBC, batch)["label"]
        return {"third": loss / 3, "rest": 2 * loss / 3}


def test_terms_are_summed_and_logged() -> None:
    whole = Supervised([tiny.classifier()], tiny.optimization())
    parts = Split([tiny.classifier()], tiny.optimization())
    left, right = (tiny.fit(method).callback_metrics for method in (whole, parts))
    torch.testing.assert_close(right["train/loss"], left["train/loss"])
    torch.testing.assert_close(right["train/third"] + right["train/rest"], left["train/loss"])
    for a, b in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_logged_loss_is_the_mean_over_samples_not_batches() -> None:
    data = tiny.data_module(batch_size=9, train=20)  # batches of 9, 9 and 2
    method = Supervised([tiny.classifier()], tiny.optimization(lr=0.0))
    logged = tiny.fit(method, data).callback_metrics["train/loss"]
    table = data.dataset.train
    assert table is not None
    images = torch.stack([table.image(row) for row in range(20)])
    expected = nn.functional.cross_entropy(method.networks[0](images), torch.from_numpy(table.labels))
    torch.testing.assert_close(logged, expected)


def test_validation_accuracy_of_every_network() -> None:
    class Two(TransferMethod):
        def terms(self, logits_NBC: Sequence[Tensor], batch: Batch) -> dict[str, Tensor]:
            return {"zero": sum(logits.sum() for logits in logits_NBC) * 0}  # type: ignore[dict-item]

    networks = [tiny.classifier(0), tiny.classifier(1)]
    data = tiny.data_module()
    metrics = tiny.fit(Two(networks, tiny.optimization(lr=0.0)), data).callback_metrics
    table = data.dataset.val
    images, labels = torch.stack([table.image(row) for row in range(20)]), torch.from_numpy(table.labels)
    for name, network in zip(("val/acc", "val/acc_peer1"), networks, strict=True):
        assert float(metrics[name]) == pytest.approx(100 * float((network(images).argmax(1) == labels).float().mean()))
    assert float(metrics["val/acc"]) != float(metrics["val/acc_peer1"])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_at_the_end_of_the_epoch(value: float) -> None:
    method = poisoned(8, value)
    with pytest.raises(UserError, match="at optimiser step 8") as error:
        tiny.fit(method, max_epochs=5)
    assert "optim.lr" in str(error.value)
    assert method.steps_taken == 11  # 6 steps an epoch: the second one is finished, the third not begun


def test_in_a_long_epoch_it_stops_earlier() -> None:
    method = poisoned(3)
    with pytest.raises(UserError, match="at optimiser step 3"):
        tiny.fit(method, tiny.data_module(batch_size=1, train=4 * CHECK_EVERY))
    assert method.steps_taken == CHECK_EVERY - 1


def test_weights_that_are_no_numbers_stop_it_though_the_loss_was_one() -> None:
    method = Supervised([tiny.classifier()], tiny.optimization())
    optimizer = tiny.optimization(lambda params, lr: torch.optim.SGD(params, lr=float("inf")))
    method.optimization = optimizer
    with pytest.raises(UserError, match=r"the weights networks\.0\..* are not finite after step 1"):
        tiny.fit(method, tiny.data_module(batch_size=48))


@pytest.mark.parametrize("came_in_evaluation", [True, False])
def test_networks_train_in_whatever_mode_they_came(came_in_evaluation: bool) -> None:
    network = tiny.classifier(0, nn.BatchNorm1d(48))
    network.train(not came_in_evaluation)
    tiny.fit(Supervised([network], tiny.optimization()))
    assert int(network.network[1].num_batches_tracked) == 6


def test_parts_with_nothing_to_learn_keep_their_statistics_and_drop_nothing() -> None:
    seen: list[Any] = []
    backbone = nn.Sequential(nn.BatchNorm1d(48), nn.Linear(48, 48), nn.Dropout(0.5)).requires_grad_(False)
    network = tiny.classifier(0, backbone, nn.Dropout(0.5))
    backbone.register_forward_hook(lambda module, *_: seen.append([part.training for part in module]))
    dropout = network.network[2]
    dropout.register_forward_hook(lambda module, *_: seen.append(module.training))
    before = backbone[0].running_mean.clone()
    tiny.fit(Supervised([network], tiny.optimization()), limit_val_batches=0)
    torch.testing.assert_close(backbone[0].running_mean, before, rtol=0, atol=0)
    assert seen == [[False, False, False], True] * 6


def test_kept_statistics_are_what_training_computes_with() -> None:
    """In training mode, between validations and after them, logits are those of evaluation; the layers still learn."""
    network = tiny.classifier(0, nn.BatchNorm1d(48), nn.BatchNorm1d(48, affine=False))
    network.keeps_statistics = True
    for layer in network.network[1:3]:
        layer.running_mean.normal_()
    before = {name: value.clone() for name, value in network.network.state_dict().items()}
    method = Supervised([network], tiny.optimization())
    tiny.fit(method)
    changed = {name for name, value in network.network.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {name for name, _ in network.network.named_parameters()}
    image = tiny.batch(6, 0)["image"]
    torch.testing.assert_close(network.train()(image), network.eval()(image), rtol=0, atol=0)
