"""crd: its loss from a written-out double loop over the banks, their upkeep, and its memory."""

import io
import logging
import math
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from torch import Tensor

from ktlight.errors import UserError
from ktlight.methods.contrastive import CRD, check_room
from ktlight.methods.memory import MemoryBanks
from ktlight.models.classifier import Classifier
from ktlight.routing.fixed import Fixed
from ktlight.routing.flips import NoNegativeFlips
from tests.methods.features import networks, resumed_and_whole, train

T, MOMENTUM = 0.2, 0.5


def crd(models: list[Classifier], **options: Any) -> CRD:
    defaults = {
        "beta": 0.8, "alpha": 0.0, "gamma": 1.0, "temperature": 4.0, "double_softmax": False, "dimensions": 6,
        "negatives": 10, "contrast_temperature": T, "momentum": MOMENTUM, "bank_gb": 1.0,
    }  # fmt: skip
    return CRD(models, tiny.optimization(lr=0.02), name="crd", **{**defaults, **options})


class Watch(CRD):
    """Keeps what the loss of each batch was made of."""

    def feature_losses(self, features_BD: Tensor, batch: Any) -> Tensor:
        self.seen = getattr(self, "seen", [])
        losses = super().feature_losses(features_BD, batch)
        assert self.pending is not None
        rows = self.banks.candidates(batch["index"], batch["label"], self.current_epoch)
        state = {"rows": rows, "memory": self.banks.memory_MNE.clone(), "embeddings": self.pending[1].clone()}
        self.seen.append({**batch, **state, "losses": losses.detach(), "z": self.log_normalizers_2.exp()})
        return losses


def watched(rule: Any = None, **options: Any) -> Watch:
    models = networks()
    method = crd(models, **options)
    method.__class__ = Watch
    train(method, [each.frozen_copy() for each in models], rule, **{"max_epochs": 2})
    return method  # type: ignore[return-value]


def double_loop(seen: dict[str, Any], normalizers: list[float]) -> list[float]:
    """The NCE of both directions, equations 18 and 19 of arXiv 1910.10699, one candidate after the other."""
    memory, embeddings = seen["memory"].double(), seen["embeddings"].double()
    bank_rows, losses = memory.shape[1], []
    for sample, source in enumerate(seen["source"].tolist()):
        bank, loss = 1 + max(source, 0), 0.0
        negatives = seen["rows"].shape[1] - 1
        for anchor, contrast, z in ((0, bank, normalizers[0]), (bank, 0, normalizers[1])):
            for place, row in enumerate(seen["rows"][sample].tolist()):
                score = float(embeddings[anchor, sample] @ memory[contrast, row])
                p = math.exp(score / T) / z
                h = p / (p + negatives / bank_rows)
                loss -= math.log(h if place == 0 else 1 - h)
        losses.append(loss)
    return losses


def mean_score(seen: dict[str, Any], direction: int) -> float:
    """n times the mean of exp(score) over the first batch."""
    total, count = 0.0, 0
    for sample, source in enumerate(seen["source"].tolist()):
        bank = 1 + max(source, 0)
        anchor, contrast = (0, bank) if direction == 0 else (bank, 0)
        for row in seen["rows"][sample].tolist():
            total += math.exp(float(seen["embeddings"][anchor, sample] @ seen["memory"][contrast, row]) / T)
            count += 1
    return seen["memory"].shape[1] * total / count


def test_the_loss_equals_a_double_loop() -> None:
    method = watched()
    assert {0, 1} == {int(source) for seen in method.seen for source in seen["source"]}
    normalizers = [mean_score(method.seen[0], direction) for direction in (0, 1)]
    for seen in method.seen:
        assert seen["z"].tolist() == pytest.approx(normalizers, rel=1e-4)  # estimated once
        assert seen["losses"].tolist() == pytest.approx(double_loop(seen, normalizers), rel=1e-3)


def test_the_first_column_is_the_sample_and_the_others_are_of_other_classes() -> None:
    method = watched(negatives=10)
    labels = tiny.dataset().train.labels
    draws = set()
    for seen in method.seen:
        assert torch.equal(seen["rows"][:, 0], seen["index"])  # all rows of the split are used
        for label, rows in zip(seen["label"].tolist(), seen["rows"].tolist(), strict=True):
            assert len(rows) == 11 and all(labels[row] != label for row in rows[1:])
            draws.add(tuple(rows[1:]))
    assert len(draws) == 96  # drawn anew for each sample and epoch


def test_banks_follow_the_embeddings() -> None:
    method = watched()
    for now, after in zip(method.seen, method.seen[1:], strict=False):
        expected = now["memory"].clone()
        for sample, row in enumerate(now["index"].tolist()):
            for bank in range(3):
                moved = MOMENTUM * expected[bank, row] + (1 - MOMENTUM) * now["embeddings"][bank, sample]
                expected[bank, row] = moved / moved.norm()
        torch.testing.assert_close(after["memory"], expected)


def test_samples_left_out_give_no_loss() -> None:
    method = watched(NoNegativeFlips(), gamma=0.0, beta=1.0)
    seen = method.seen[0]
    assert (seen["source"] == -1).any()
    records = []
    models = networks()
    _, record = train(crd(models, gamma=0.0, beta=1.0), networks(), NoNegativeFlips(), limit_train_batches=1)
    records.append(float(record.batches[0]["loss"]))
    kept = seen["losses"][seen["source"] >= 0]
    assert records[0] == pytest.approx(float(kept.sum()) / len(seen["source"]), rel=1e-5)


def test_heads_have_the_widths_of_their_sources_and_stay_out_of_the_student() -> None:
    models = networks()
    method = crd(models)
    train(method, [each.frozen_copy() for each in models])
    assert [head.in_features for head in method.heads] == [8, 8, 16]
    assert all(head.out_features == 6 for head in method.heads)
    assert not any("heads" in name for name in models[0].state_dict())
    one = crd(networks())
    train(one, networks(), Fixed(1))
    assert [head.in_features for head in one.heads] == [8, 16] and one.banks.memory_MNE.shape == (2, 48, 6)


def test_training_brings_a_sample_nearer_to_its_teacher_than_others() -> None:
    models = networks()
    method = crd(models, gamma=0.0)
    _, record = train(method, [each.frozen_copy() for each in models], Fixed(1), max_epochs=20)
    losses = [float(batch["loss"]) for batch in record.batches]
    assert sum(losses[-6:]) < 0.9 * sum(losses[:6])


def test_a_resumed_run_is_the_undisturbed_one(tmp_path: Path) -> None:
    start = crd(networks())
    train(start, networks(), limit_train_batches=0)
    resumed, whole = resumed_and_whole(crd, tmp_path)
    for name in ("banks.memory_MNE", *(f"heads.{number}.weight" for number in range(3))):
        assert not torch.equal(start.state_dict()[name], whole[name])  # banks and heads learn
    assert {"banks.memory_MNE", "log_normalizers_2", "heads.2.weight"} <= set(whole)
    for name, value in whole.items():
        assert torch.equal(resumed[name], value), name


def test_fewer_negatives_where_there_are_fewer() -> None:
    labels = torch.tensor([0, 0, 0, 1, 2]).numpy()
    banks = MemoryBanks(2, 4, torch.arange(5).numpy(), labels, 4096, seed=0)
    assert banks.negatives == 2  # the largest class has two others
    rows = banks.candidates(torch.tensor([0, 4]), torch.tensor([0, 2]), epoch=0)
    assert rows.shape == (2, 3) and set(rows[0, 1:].tolist()) <= {3, 4} and 4 not in rows[1, 1:]


def test_banks_of_a_part_of_the_split() -> None:
    banks = MemoryBanks(1, 4, torch.tensor([3, 7, 20]).numpy(), torch.tensor([0, 1, 1]).numpy(), 1, seed=0)
    assert banks.locate(torch.tensor([20, 3])).tolist() == [2, 0]
    torch.testing.assert_close(banks.memory_MNE.norm(dim=2), torch.ones(1, 3))
    assert banks.candidates(torch.tensor([20, 7]), torch.tensor([1, 1]), epoch=0).tolist() == [[2, 0], [1, 0]]


def test_one_class_is_refused() -> None:
    with pytest.raises(UserError, match="all training samples belong to one"):
        MemoryBanks(1, 4, torch.arange(5).numpy(), torch.zeros(5, dtype=torch.int64).numpy(), 8, seed=0)


def test_banks_that_do_not_fit_are_refused_with_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    # 4 bytes x 48 rows x (3 banks x 6 numbers + (3 + 2) x 8 samples of a batch)
    with pytest.raises(
        UserError,
        match=r"3 memory banks of 48 x 6 numbers and the scores of 8 samples, 1.11e-05 GB, 1.01e-05 GB more than",
    ):
        train(crd(networks(), bank_gb=1e-6), networks())
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (int(1e9), int(2e9)))
    with pytest.raises(UserError, match=r"2.79 GB, 1.79 GB more than cuda:0 has left: lower method.dimensions"):
        check_room(3, 1_281_167, 128, 32, 4.0, torch.device("cuda:0"))


def test_the_size_of_the_banks_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "ktlight"):
        check_room(3, 128_117, 128, 128, 4.0, torch.device("cpu"))
    assert (
        "method=crd keeps 3 memory banks of 128117 x 128 numbers and the scores of 128 samples, 0.525 GB" in caplog.text
    )


def test_the_state_loads_without_code() -> None:
    models = networks()
    method = crd(models)
    train(method, [each.frozen_copy() for each in models])
    file = io.BytesIO()
    torch.save(method.state_dict(), file)
    file.seek(0)
    assert torch.load(file, weights_only=True).keys() == method.state_dict().keys()
